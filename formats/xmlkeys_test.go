package formats

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// nested is a list of items in each other, whose numbers are long, and behind the start tag of the innermost a look at the memory.
func nested(depth, size int, tag string, look io.Reader) io.Reader {
	long := strings.Repeat("v", size)
	parts := []io.Reader{strings.NewReader("<list>")}
	for i := range depth {
		parts = append(parts, strings.NewReader(fmt.Sprintf(tag, i, long)))
	}
	parts = append(parts, strings.NewReader("<!--"+strings.Repeat(" ", 500_000)+"-->"), look) // so that all before it has gone through the buffers
	parts = append(parts, strings.NewReader(strings.Repeat("</a>", depth)+"</list>"))
	return io.MultiReader(parts...)
}

type memoryLook struct{ most uint64 }

func (l *memoryLook) Read([]byte) (int, error) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	l.most = max(l.most, m.HeapAlloc)
	return 0, io.EOF
}

// nestedKeys is a schema whose items, in each other, have a number that is unique: in an attribute, or in elements of theirs.
func nestedKeys(name string) ([]byte, error) {
	const s = `<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:element name="list"><xs:complexType><xs:sequence><xs:element name="a" type="Item" minOccurs="0" maxOccurs="unbounded"/></xs:sequence></xs:complexType>
    <xs:unique name="u"><xs:selector xpath=".//a"/>%s</xs:unique></xs:element>
  <xs:complexType name="Item"><xs:sequence><xs:element name="n" type="Text" minOccurs="0"/>
    <xs:element name="m" type="Text" minOccurs="0"/><xs:element name="o" type="xs:string" minOccurs="0"/><xs:element name="a" type="Item" minOccurs="0"/></xs:sequence>
    <xs:attribute name="no"/><xs:attribute name="text"/></xs:complexType>
  <xs:complexType name="Text"><xs:simpleContent><xs:extension base="xs:string"><xs:attribute name="no"/></xs:extension></xs:simpleContent></xs:complexType>
</xs:schema>`
	var fields strings.Builder
	for path := range strings.SplitSeq(name, ",") {
		fmt.Fprintf(&fields, `<xs:field xpath="%s"/>`, path)
	}
	return fmt.Appendf(nil, s, fields.String()), nil
}

// Keys of elements that stand in each other are held together until the elements end, however long they are: that is counted.
func TestLongKeysOfElementsInEachOtherAreCounted(t *testing.T) { // not parallel: it measures memory
	for _, c := range []struct {
		name, field, tag string
		depth, size      int
		limit            string
	}{
		{"attributes", "@no", `<a no="%d%s">`, 40, 900_000, "max_keys"},
		{"elements", "n", `<a><n>%d%s</n>`, 40, 900_000, "max_keys"},
		{"elements, then CDATA", "n", `<a><n>%d%s</n><![CDATA[ ]]>`, 40, 900_000, "max_keys"},
		{"several elements", "n,m,o", `<a><n>%[1]d%[2]s</n><m>%[2]s</m><o>%[2]s</o>`, 3, 400_000, "max_keys"},
		{"fields of one last name", "n/@no,m/@no", `<a><n no="%d%s"/><m no="%[2]s"/>`, 4, 400_000, "max_keys"},
		{"as many of one name", "n", `<a><n>%d</n><m>%[2]s</m><o>%[2]s</o>`, 3, 400_000, ""},
		{"an attribute of no key", "@no", `<a no="%d" text="%s">`, 40, 900_000, ""},
		{"short ones", "@no", `<a no="%d%s">`, 40, mostKey - 10, ""},
		{"one of few", "@no", `<a no="%d" text="%s">`, 2, 900_000, ""},
	} {
		l := Limits{MaxKeys: 1000} // of 2.4 KiB each
		d := decoder(t, Options{Format: "xml", Schema: c.field, Records: "/list/other", Files: nestedKeys, Limits: l}, Want{Name: "x", From: []string{"@x"}})
		runtime.GC() // what tests before this one left in pools
		before, look := memoryLook{}, memoryLook{}
		_, _ = before.Read(nil)
		b := Blob{Reader: nested(c.depth, c.size, c.tag, &look), Size: -1}
		if c.limit != "" {
			f := fileError(t, d, b)
			if wantLimit(t, f, c.limit); !strings.Contains(f.Reason, "elements whose keys are long stand in each other") || look.most != 0 {
				t.Errorf("%s: %v, read on: %t", c.name, f, look.most != 0)
			}
			continue
		}
		if _, err := read(d, b); err != nil || int64(look.most)-int64(before.most) > 12<<20 {
			t.Errorf("%s: %d bytes in memory, %v", c.name, int64(look.most)-int64(before.most), err)
		}
	}
}

func TestFieldsOfKeysAreFoundByWhateverPrefixASchemaHas(t *testing.T) {
	t.Parallel()
	k := &xsdKeys{places: map[string][]int{}}
	k.add([]byte(`<схема:selector xpath=".//x:a | b"/><xs:field xpath="c/@no"/><field id="f" xpath='n'/><field xpath="d/@no"/>`))
	var seen []int
	for _, name := range []string{"a", "b", "no", "n", "c"} {
		seen = append(seen, k.of(name)...)
	}
	if slices.Sort(seen); !slices.Equal(seen, []int{0, 1, 2, 3, 4}) || len(k.of("no")) != 2 {
		t.Errorf("%v, %v", seen, k)
	}
	if k.add([]byte(`<field xpath="."/>`)); len(k.of("c")) != 6 {
		t.Errorf("with a field of any name: %v", k)
	}
}

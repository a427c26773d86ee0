package formats

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"pgregory.net/rapid"
)

// decodeText reads a text in an encoding.
func decodeText(name string, r io.Reader) (string, error) {
	out, err := io.ReadAll(&recoded{r: r, o: Options{Encoding: name}})
	return string(out), err
}

func TestTextOfEveryEncodingIsRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, bytes, text string }{ // as Python writes them
		{"windows-1251", "cff0e8e2e5f22c20b935", "Привет, №5"},
		{"CP1251", "cff0e8e2e5f22c20b935", "Привет, №5"},
		{"cp866", "8fe0a8a2a5e22c20fc35", "Привет, №5"},
		{"koi8-u", "f0d2c9d7c5d42035", "Привет 5"},
		{"KOI8_R", "f0d2c9d7c5d42035", "Привет 5"},
		{"cp855", "dde1b7eba8e52035", "Привет 5"},
		{"iso-8859-5", "bfe0d8d2d5e22035", "Привет 5"},
		{"x-mac-cyrillic", "8ff0e8e2e5f22c20dc35", "Привет, №5"},
		{"utf-16le", "1f04400438043204350442042c00200016213500", "Привет, №5"},
		{"utf-16be", "041f04400438043204350442002c002021160035", "Привет, №5"},
		{"utf-16", "fffe1f0440043dd800de", "Пр😀"},
		{"utf-16", "feff041f0440d83dde00", "Пр😀"},
		{"utf-32le", "1f040000400400003d000100fdff00000a000000", "Пр\U0001003d\ufffd\n"},
		{"utf-32be", "0000041f000004400001f60000000041", "Пр😀A"},
		{"UCS-4", "0000feff0000041f0000feff", "П\ufeff"},
		{"utf-32", "fffe00001f040000", "П"},
		{"windows-1252", "4772fcdf6520e9", "Grüße é"},
		{"latin1", "4772fcdf6520e9", "Grüße é"},
		{"iso-8859-2", "4772fcdf6520e9", "Grüße é"},
		{"windows-1250", "4772fcdf6520e9", "Grüße é"},
		{"cp437", "477281e1652082", "Grüße é"},
		{"cp850", "477281e1652082", "Grüße é"},
		{"ibm852", "477281e1652082", "Grüße é"},
		{"cp858", "477281e16520d5", "Grüße €"},
		{"macintosh", "47729fa765208e", "Grüße é"},
		{"iso-8859-15", "bd20a435", "œ €5"},
		{"cp037", "c1c240baa7bb5a40f115", "AB [x]! 1\n"},
		{"cp500", "c1c2404aa75a4f40f125", "AB [x]! 1\n"},
		{"ebcdic", "c1c240f1", "AB 1"},
		{"shift_jis", "93fa967b3b41", "日本;A"},
		{"euc-jp", "c6fccbdc3b41", "日本;A"},
		{"gb18030", "d6d0cec43b41", "中文;A"},
		{"gb2312", "d6d0cec43b41", "中文;A"},
		{"big5", "a4a4a4e53b41", "中文;A"},
		{"euc-kr", "c7d1b1b93b41", "한국;A"},
	} {
		data, err := hex.DecodeString(c.bytes)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeText(c.name, bytes.NewReader(data)); err != nil || got != c.text {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.text)
		}
		if got, err := decodeText(c.name, iotest.OneByteReader(bytes.NewReader(data))); err != nil || got != c.text {
			t.Errorf("%s byte by byte: %q, %v, want %q", c.name, got, err, c.text)
		}
	}
}

func TestBytesThatStandForNothingAreRefusedWithTheirOffset(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, bytes, want string }{
		{"windows-1252", "ab\x81", "offset 2: byte 0x81 stands for nothing in windows-1252; is the file in another encoding?"},
		{"windows-1251", "\x98", "offset 0: byte 0x98 stands for nothing"},
		{"iso-8859-1", "a\x92", "offset 1: byte 0x92 stands for nothing in iso-8859-1; is the file in windows-1252?"},
		{"iso-8859-7", strings.Repeat("x", 9_000) + "\xff", "offset 9000: byte 0xff stands for nothing"},
		{"us-ascii", "abc\xe9", "offset 3: byte 0xe9 stands for nothing in us-ascii; say which encoding it is in"},
		{"utf-16le", "a\x00\x00\xd8b\x00", "offset 2: 0xd800 is half of a character"},
		{"utf-16be", "\x00a\xdc\x00\x00b", "offset 2: 0xdc00 is half of a character"},
		{"utf-16le", "a\x00\x3d\xd8", "offset 2: 0xd83d is half"},
		{"utf-16le", "a\x00b", "offset 2: the text ends in the middle of a unit of UTF-16: truncated?"},
		{"utf-32", "a\x00\x00\x00", "offset 0: the file has no byte order mark, which utf-32 needs: say encoding: utf-32le"},
		{"utf-32", "\xff\xfea\x00", "offset 0: the file starts with the byte order mark of UTF-16LE, but is said to be in utf-32: leave encoding out"},
		{"utf-16", "\xff\xfe\x00\x00a\x00\x00\x00", "offset 0: the file starts with the byte order mark of UTF-32LE, but is said to be in utf-16: leave encoding out"},
		{"utf-32le", "a\x00\x00\x00\x00\xd8\x00\x00", "offset 4: 0x0000d800 is no character of UTF-32; is the file in another encoding?"},
		{"utf-32be", "\x00\x00\x00a\x00\x11\x00\x00", "offset 4: 0x00110000 is no character of UTF-32"},
		{"utf-32be", "\xff\xff\xff\xff", "offset 0: 0xffffffff is no character of UTF-32"},
		{"utf-32le", strings.Repeat("a\x00\x00\x00", 2_000) + "b\x00\x00", "offset 8000: the text ends in the middle of a character of UTF-32: truncated?"},
		{"shift_jis", "\x93\xfa\xff", "offset 2: byte 0xff begins no character of shift_jis"},
		{"shift_jis", strings.Repeat("\x93\xfa", 4_000) + "\x96", "offset 8000: byte 0x96 begins no character"},
		{"gb18030", "A\xff", "offset 1: byte 0xff begins no character"},
		{"utf-16", "a\x00b\x00", "offset 0: the file has no byte order mark, which utf-16 needs: say encoding: utf-16le"},
		{"utf-16", "\x00a", "offset 0: the file has no byte order mark, which utf-16 needs: say encoding: utf-16be"},
		{"windows-1251", "\xef\xbb\xbfa", "offset 0: the file starts with the byte order mark of UTF-8, but is said to be in windows-1251: leave encoding out"},
		{"utf-16le", "\xfe\xff\x00a", "offset 0: the file starts with the byte order mark of UTF-16BE, but is said to be in utf-16le"},
		{"utf-16", "\xef\xbb\xbfa", "offset 0: the file starts with the byte order mark of UTF-8, but is said to be in utf-16"},
		{"koi8-r", "\xff\xfe\x00\x00", "offset 0: the file starts with the byte order mark of UTF-32LE, but is said to be in koi8-r"},
		{"cp866", "PK\x03\x04", "offset 0: the file is a zip archive"},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.bytes), iotest.OneByteReader(strings.NewReader(c.bytes)), iotest.DataErrReader(strings.NewReader(c.bytes))} {
			_, err := decodeText(c.name, r)
			var f *FileError
			if !errors.As(err, &f) || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%s %.20q: %v, want %s", c.name, c.bytes, err, c.want)
			}
		}
	}
}

func TestByteOrderMarksAreFollowedAndContradictionsReported(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ encoding, text, want string }{
		{"", "\xff\xfea\x00\n\x00\xe9\x00\n\x00", `["é"] <nil>`},
		{"", "\xfe\xff\x00a\x00\n\x00\xe9", `["é"] <nil>`},
		{"", "\xef\xbb\xbfa\n\xc3\xa9", `["é"] <nil>`},
		{"UTF8", "\xef\xbb\xbfa\n\xc3\xa9", `["é"] <nil>`},
		{"utf-16le", "\xff\xfea\x00\n\x00\xe9\x00", `["é"] <nil>`},
		{"utf-8", "\xff\xfea\x00", "[] offset 0: the file starts with the byte order mark of UTF-16LE, but is said to be in utf-8: leave encoding out"},
		{"", "a\x00\n\x00", "[] offset 1: a NUL byte, which no text has; the file looks like UTF-16 without a byte order mark: say encoding: utf-16le"},
		{"", "\x00a\x00\n", "[] offset 0: a NUL byte, which no text has; the file looks like UTF-16 without a byte order mark: say encoding: utf-16be"},
		{"", "\xff\xfe\x00\x00a\x00\x00\x00\n\x00\x00\x00\xe9\x00\x00\x00", `["é"] <nil>`},
		{"utf-32", "\x00\x00\xfe\xff\x00\x00\x00a\x00\x00\x00\n\x00\x00\x00\xe9", `["é"] <nil>`},
		{"", "a\x00\x00\x00\n\x00\x00\x00", "[] offset 1: a NUL byte, which no text has; the file looks like UTF-32 without a byte order mark: say encoding: utf-32le"},
		{"", "\x00\x00\x00a\x00\x00\x00\n", "[] offset 0: a NUL byte, which no text has; the file looks like UTF-32 without a byte order mark: say encoding: utf-32be"},
		{"", "a\nb\x00c\n", "[] offset 3: a NUL byte, which no text has"},
		{"cp500", "\x81\x25\x00\x82\x00", "[] offset 2: a NUL byte, which no text has"}, // turned into UTF-8 before: it cannot be UTF-16
		{"", "a\n\xc0\xaf", "[] offset 2: byte 0xc0 is not valid UTF-8; if the file is in windows-1252, say encoding: windows-1252"},
		{"", "a\n\xed\xa0\x80", "[] offset 2: byte 0xed is not valid UTF-8; if the file is in windows-1252, say encoding: windows-1252"},
		{"", "a\n\xff", "[] offset 2: byte 0xff is not valid UTF-8; if the file is in windows-1252, say encoding: windows-1252"},
	} {
		d := decoder(t, Options{Format: "csv", Encoding: c.encoding}, columns("a")...)
		for _, r := range []io.Reader{strings.NewReader(c.text), iotest.OneByteReader(strings.NewReader(c.text))} {
			got, err := read(d, Blob{Reader: r, Size: -1})
			if s := fmt.Sprint(got, " ", err); s != c.want {
				t.Errorf("%s %q: %s, want %s", c.encoding, c.text, s, c.want)
			}
		}
	}
}

func TestAReaderThatFailsBehindAByteOrderMarkIsHeard(t *testing.T) {
	t.Parallel()
	d := decoder(t, Options{Format: "csv"}, columns("a")...)
	_, err := read(d, Blob{Reader: io.MultiReader(strings.NewReader("\xff\xfea\x00\n\x00"), iotest.ErrReader(errGone)), Size: -1})
	if !errors.Is(err, errGone) {
		t.Errorf("%v", err)
	}
}

// TestNamesMeanWhatOthersMean: a name of ours means the same to browsers or to IANA, wherever they know it.
func TestNamesMeanWhatOthersMean(t *testing.T) {
	t.Parallel()
	html := map[string]string{"iso-8859-1": "windows-1252", "us-ascii": "windows-1252", "iso-8859-9": "windows-1254", "utf-16": "utf-16le"}
	seen := map[string]string{}
	for _, c := range charsets() {
		for _, name := range append(strings.Fields(c.also), c.name) {
			if other, twice := seen[plainName(name)]; twice {
				t.Errorf("%s is a name of %s and of %s", name, other, c.name)
			}
			seen[plainName(name)] = c.name
			want := c.name
			if h, ok := html[c.name]; ok {
				want = h
			}
			if e, err := htmlindex.Get(name); err == nil {
				if got, _ := htmlindex.Name(e); got != want && !strings.EqualFold(plainName(got), plainName(want)) && got != "ibm866" && got != "gbk" {
					t.Errorf("%s is %s for browsers, %s for us", name, got, c.name)
				}
			} else if e, err := ianaindex.IANA.Encoding(name); err == nil && e != nil && c.single != nil && c.name != usASCII && c.swap == nil && e != c.single {
				t.Errorf("%s is %v for IANA, %s for us", name, e, c.name)
			}
		}
	}
}

// TestWhatIsWrittenIsReadBack: every encoding, any text it can hold, cut anywhere.
func TestWhatIsWrittenInAnEncodingIsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(Encodings()).Draw(t, "encoding")
		letters := []rune("ab ;\"'~\n")
		if c, _ := findCharset(name); c.single != nil {
			for b := 0x20; b < 0x100; b++ {
				if r, ok := c.decode(byte(b)); ok && r >= ' ' && r != 0x7F && !(r >= 0x80 && r < 0xA0) {
					letters = append(letters, r)
				}
			}
		} else {
			letters = append(letters, []rune("中文日本é한국кир😀￦")...)
		}
		text := string(rapid.SliceOfN(rapid.SampledFrom(letters), 0, 600).Draw(t, "text"))
		w := newRecoder(name, false)
		var kept strings.Builder
		for _, r := range text {
			if _, bad := w.writable([]byte(string(r))); bad == 0 {
				kept.WriteRune(r)
			}
		}
		data := bytes.Clone(w.recode([]byte(kept.String())))
		if len(data) == 0 && (name == "utf-16" || name == "utf-32") {
			return
		}
		if name == UTF8 {
			return // nothing is turned
		}
		got, err := decodeText(name, drip{bytes.NewReader(data), rapid.IntRange(1, 700).Draw(t, "at a time")})
		if err != nil || got != kept.String() {
			t.Fatalf("%s: %q is written as %x and read as %q, %v", name, kept.String(), data, got, err)
		}
	})
}

func TestACSVFileIsWrittenInAnyEncoding(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"windows-1251": "a\n\xcf;\xb9\n",
		"utf-16":       "\xff\xfea\x00\n\x00\x1f\x04;\x00\x16\x21\n\x00",
		"utf-32":       "\xff\xfe\x00\x00a\x00\x00\x00\n\x00\x00\x00\x1f\x04\x00\x00;\x00\x00\x00\x16\x21\x00\x00",
		"utf-32be":     "\x00\x00\x00a\x00\x00\x00\n\x00\x00\x04\x1f\x00\x00\x00;\x00\x00\x21\x16",
		"utf-16be":     "\x00a\x00\n\x04\x1f\x00;\x21\x16\x00\n",
		"koi8-r":       "row 1, column \"a\": the character '№' has no place in koi8-r; say encoding: utf-8, or unmappable: replace",
		"cp037":        "row 1, column \"a\": the character 'П' has no place in cp037",
	} {
		e, ps := NewEncoder(Writing{Format: "csv", Encoding: name, Lines: lf}, titled("a"))
		if ps != nil {
			t.Fatal(ps)
		}
		var out bytes.Buffer
		err := e.Encode(&out, rowsOf([]Value{val(Text, "П;№")}))
		got := strings.ReplaceAll(strings.ReplaceAll(out.String(), `"`, ""), "\"\x00", "")
		if utf := strings.HasPrefix(name, "utf-16"); utf {
			got = strings.NewReplacer("\"\x00", "", "\x00\"", "").Replace(out.String())
		}
		if err != nil {
			got = strings.TrimPrefix(err.Error(), "write ")
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	e, _ := NewEncoder(Writing{Format: "csv", Encoding: "koi8-r", Unmappable: "replace", Lines: lf}, titled("a"))
	var out bytes.Buffer
	if err := e.Encode(&out, rowsOf([]Value{val(Text, "П№")})); err != nil || out.String() != "a\n\xf0?\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

// TestTheTableOfEachEncodingIsItsOwnInverse: of every byte that stands for a character, that character is written as the byte.
func TestTheTableOfEachEncodingIsItsOwnInverse(t *testing.T) {
	t.Parallel()
	for _, c := range charsets() {
		if c.single == nil {
			continue
		}
		w := newRecoder(c.name, false)
		defined := 0
		for b := range 256 {
			r, ok := c.decode(byte(b))
			if !ok || c.ebcdic && b == 0x25 { // the second line end of a mainframe
				continue
			}
			defined++
			if got := w.recode([]byte(string(r))); len(got) != 1 || got[0] != byte(b) || utf8.RuneLen(r) > 3 {
				t.Errorf("%s: byte %#x is %q, which is written as %x", c.name, b, r, got)
			}
		}
		if defined < 128 || c.name != usASCII && defined < 170 {
			t.Errorf("%s: %d bytes stand for something", c.name, defined)
		}
	}
}

func FuzzEncodings(f *testing.F) {
	for i := range Encodings() {
		f.Add(uint8(i), []byte("ab\xe9\x81\x40\xff\xfe\x00\xd8"))
		f.Add(uint8(i), []byte("\xff\xfe\x00\x00a\x00\x00\x00\x00\xf6\x01\x00\x00\x00\x11"))
		f.Add(uint8(i), []byte("\x00\x00\xfe\xff\x00\x00\x00a\x00\x01\xf6\x00"))
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		name := Encodings()[int(which)%len(Encodings())]
		if name == UTF8 {
			return
		}
		got, err := decodeText(name, bytes.NewReader(data))
		again, errAgain := decodeText(name, iotest.OneByteReader(bytes.NewReader(data)))
		if got != again || (err == nil) != (errAgain == nil) || err != nil && err.Error() != errAgain.Error() {
			t.Fatalf("%s %x: %q, %v at once, %q, %v byte by byte", name, data, got, err, again, errAgain)
		}
		var fe *FileError
		if !utf8.ValidString(got) || err != nil && (!errors.As(err, &fe) || fe.Offset < 0 || fe.Offset > int64(len(data))) {
			t.Fatalf("%s %x: %q, %v", name, data, got, err)
		}
	})
}

func TestXMLInUTF32IsReadAsItDeclares(t *testing.T) {
	t.Parallel()
	d := decoder(t, Options{Format: "xml"}, columns("a")...)
	for _, c := range []struct{ said, in, want string }{
		{"UTF-32", "utf-32", `["😀"] <nil>`},
		{"UTF-32", "utf-32le", `["😀"] <nil>`},
		{"UTF-32BE", "utf-32be", `["😀"] <nil>`},
		{"UTF-16", "utf-32", `[] line 1: the file declares the encoding "UTF-16" but starts as UTF-32LE does`},
		{"UTF-32LE", "utf-32be", `[] line 1: the file declares the encoding "UTF-32LE" but starts as UTF-32BE does`},
		{"UTF-32", "utf-16", `[] line 1: the file declares the encoding "UTF-32" but starts as UTF-16LE does`},
		{"UTF-32", "utf-8", `[] line 1: the file declares the encoding "UTF-32" but its bytes are not`},
	} {
		got, err := read(d, blobOf(encoded(c.in, "<?xml version='1.0' encoding='"+c.said+"'?><r><a>😀</a></r>")))
		if s := fmt.Sprint(got, " ", err); !strings.HasPrefix(s, c.want) {
			t.Errorf("%s in %s: %s, want %s", c.said, c.in, s, c.want)
		}
	}
}

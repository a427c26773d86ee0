package unpack

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"waybill/formats"
)

func TestAFileIsKnownByItsBeginningWhateverItIsPackedIn(t *testing.T) {
	t.Parallel()
	french := "N° commande;Article;Qté;Prix HT\nA-1;Déjà vu;3;1,50\nA-2;Forêt;4;12,25\n"
	once := packAs(t, "gzip", []byte(french))
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"plain":       {[]byte(french), "[] csv ; [encoding format delimiter"},
		"gzip":        {once, "[gzip] csv ; [unpack encoding format delimiter"},
		"zip":         {zipWith(t, file("a.csv", []byte(french))), "[zip] csv ; [unpack encoding format delimiter"},
		"gzip, tar":   {packAs(t, "gzip", tarWith(t)), "[gzip]  "},
		"twice":       {packAs(t, "zstd", once), "[zstd gzip] csv ; [unpack unpack encoding format delimiter"},
		"workbook":    {[]byte("PK\x03\x04" + strings.Repeat("\x00", 22) + "\x0f\x00\x00\x00xl/workbook.xmlPK"), "[] xlsx  [format]"},
		"pgp":         {[]byte("\x8c\x0d\x04\x09\x03\x02abc"), "[]   [format]"},
		"pgp to keys": {[]byte("\x85\x01\x8c\x03abcdefgh"), "[]   [format]"},
		"age in gzip": {packAs(t, "gzip", []byte("age-encryption.org/v1\n")), "[gzip]   [unpack format]"},
	} {
		f, err := Detect(seekable(string(c.data)))
		var keys []string
		for _, e := range f.Evidence {
			keys = append(keys, e.Key)
		}
		if got := fmt.Sprint(f.Unpack, " ", f.Format, " ", f.Delimiter, " ", keys); !strings.HasPrefix(got, c.want) || err != nil {
			t.Errorf("%s: %s, %v, want %s", name, got, err, c.want)
		}
	}
	thrice := packAs(t, "gzip", packAs(t, "gzip", once))
	if f, err := Detect(formats.Blob{ReaderAt: bytes.NewReader(thrice), Size: int64(len(thrice))}); err == nil || !strings.Contains(err.Error(), "add gzip to unpack") || len(f.Unpack) != 2 {
		t.Errorf("packed three times: %+v, %v", f, err)
	}
}

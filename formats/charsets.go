package formats

import (
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// A charset is one way to write characters as bytes. One of single, wide and multi is set, none for UTF-8.
type charset struct {
	name   string
	also   string           // its other names, parted by blanks
	single *charmap.Charmap // one byte a character
	swap   []exchange       // what is other than in single
	ebcdic bool             // of the mainframes: no part of it is ASCII
	wide   order            // UTF-16, or UTF-32
	quad   bool             // UTF-32: a unit has four bytes
	multi  encoding.Encoding
}

// An exchange is a byte that stands for another character than in the table at hand.
type exchange struct {
	b byte
	r rune
}

// An order is that of the bytes of a unit of UTF-16 or UTF-32.
type order uint8

const (
	noOrder order = iota
	marked        // as the byte order mark says
	little
	big
)

// charsets lists the encodings. Other names are those of WHATWG, IANA, IBM and Microsoft that are in use; case, hyphens, underscores and
// dots do not matter. Unlike in browsers, iso-8859-1 is itself, and not windows-1252: a byte that means something only there is refused.
func charsets() []charset {
	return []charset{
		{name: UTF8, also: "unicode-1-1-utf-8 x-unicode20utf8"},
		{name: "utf-16", also: "iso-10646-ucs-2 ucs-2 unicode csunicode", wide: marked},
		{name: utf16le, also: "unicodefeff", wide: little},
		{name: utf16be, also: "unicodefffe", wide: big},
		{name: "utf-32", also: "iso-10646-ucs-4 ucs-4 csucs4", wide: marked, quad: true},
		{name: utf32le, also: "ucs-4le", wide: little, quad: true}, {name: utf32be, also: "ucs-4be", wide: big, quad: true},
		{name: "windows-1250", also: "cp1250 x-cp1250", single: charmap.Windows1250},
		{name: "windows-1251", also: "cp1251 x-cp1251 ansi-1251", single: charmap.Windows1251},
		{name: Windows1252, also: "cp1252 x-cp1252 ansi", single: charmap.Windows1252},
		{name: "windows-1253", also: "cp1253 x-cp1253", single: charmap.Windows1253},
		{name: "windows-1254", also: "cp1254 x-cp1254", single: charmap.Windows1254},
		{name: "windows-1255", also: "cp1255 x-cp1255", single: charmap.Windows1255},
		{name: "windows-1256", also: "cp1256 x-cp1256", single: charmap.Windows1256},
		{name: "windows-1257", also: "cp1257 x-cp1257", single: charmap.Windows1257},
		{name: "windows-1258", also: "cp1258 x-cp1258", single: charmap.Windows1258},
		{name: "windows-874", also: "cp874 dos-874 tis-620 iso-8859-11", single: charmap.Windows874},
		{name: "iso-8859-1", also: "latin1 l1 cp819 ibm819 iso-ir-100 csisolatin1 iso_8859-1:1987", single: charmap.ISO8859_1},
		{name: "iso-8859-2", also: "latin2 l2 iso-ir-101 csisolatin2 iso_8859-2:1987", single: charmap.ISO8859_2},
		{name: "iso-8859-3", also: "latin3 l3 iso-ir-109 csisolatin3 iso_8859-3:1988", single: charmap.ISO8859_3},
		{name: "iso-8859-4", also: "latin4 l4 iso-ir-110 csisolatin4 iso_8859-4:1988", single: charmap.ISO8859_4},
		{name: "iso-8859-5", also: "cyrillic iso-ir-144 csisolatincyrillic iso_8859-5:1988", single: charmap.ISO8859_5},
		{name: "iso-8859-6", also: "arabic asmo-708 ecma-114 iso-ir-127 csisolatinarabic iso_8859-6:1987", single: charmap.ISO8859_6},
		{name: "iso-8859-7", also: "greek greek8 ecma-118 elot_928 iso-ir-126 csisolatingreek sun_eu_greek iso_8859-7:1987", single: charmap.ISO8859_7},
		{name: "iso-8859-8", also: "hebrew visual iso-ir-138 csisolatinhebrew iso_8859-8:1988", single: charmap.ISO8859_8},
		{name: "iso-8859-9", also: "latin5 l5 iso-ir-148 csisolatin5 iso_8859-9:1989", single: charmap.ISO8859_9},
		{name: "iso-8859-10", also: "latin6 l6 iso-ir-157 csisolatin6", single: charmap.ISO8859_10},
		{name: "iso-8859-13", also: "latin7 l7", single: charmap.ISO8859_13},
		{name: "iso-8859-14", also: "latin8 l8", single: charmap.ISO8859_14},
		{name: "iso-8859-15", also: "latin9 l9 csisolatin9", single: charmap.ISO8859_15},
		{name: "iso-8859-16", also: "latin10 l10", single: charmap.ISO8859_16},
		{name: "koi8-r", also: "koi koi8 cskoi8r", single: charmap.KOI8R},
		{name: "koi8-u", also: "koi8-ru", single: charmap.KOI8U},
		{name: "macintosh", also: "mac x-mac-roman macroman csmacintosh", single: charmap.Macintosh},
		{name: "x-mac-cyrillic", also: "mac-cyrillic x-mac-ukrainian", single: charmap.MacintoshCyrillic},
		{name: "cp437", also: "ibm437 437 cspc8codepage437", single: charmap.CodePage437},
		{name: "cp850", also: "ibm850 850 cspc850multilingual", single: charmap.CodePage850},
		{name: "cp852", also: "ibm852 852 cspcp852", single: charmap.CodePage852},
		{name: "cp855", also: "ibm855 855 csibm855", single: charmap.CodePage855},
		{name: "cp858", also: "ibm858 858 ibm00858", single: charmap.CodePage858},
		{name: "cp860", also: "ibm860 860 csibm860", single: charmap.CodePage860},
		{name: "cp862", also: "ibm862 862 cspc862latinhebrew", single: charmap.CodePage862},
		{name: "cp863", also: "ibm863 863 csibm863", single: charmap.CodePage863},
		{name: "cp865", also: "ibm865 865 csibm865", single: charmap.CodePage865},
		{name: "cp866", also: "ibm866 866 csibm866 dos-866", single: charmap.CodePage866},
		{name: "cp037", also: "ibm037 037 ebcdic ebcdic-cp-us ebcdic-cp-ca csibm037", single: charmap.CodePage037, ebcdic: true},
		{name: "cp500", also: "ibm500 500 ebcdic-cp-be ebcdic-cp-ch csibm500", single: charmap.CodePage037, ebcdic: true,
			swap: []exchange{{0x4A, '['}, {0x4F, '!'}, {0x5A, ']'}, {0x5F, '^'}, {0xB0, '¢'}, {0xBA, '¬'}, {0xBB, '|'}}},
		{name: "cp1047", also: "ibm1047 1047", single: charmap.CodePage1047, ebcdic: true},
		{name: "cp1140", also: "ibm1140 ibm01140 1140 ebcdic-us-37+euro", single: charmap.CodePage1140, ebcdic: true},
		{name: "gb18030", also: "csgb18030", multi: simplifiedchinese.GB18030},
		{name: "gbk", also: "gb2312 cp936 ms936 windows-936 chinese csgb2312 csiso58gb231280 gb_2312-80 iso-ir-58 x-gbk", multi: simplifiedchinese.GBK},
		{name: "big5", also: "big5-hkscs cn-big5 csbig5 x-x-big5 cp950", multi: traditionalchinese.Big5},
		{name: "shift_jis", also: "sjis ms_kanji csshiftjis windows-31j x-sjis ms932 cp932", multi: japanese.ShiftJIS},
		{name: "euc-jp", also: "x-euc-jp cseucpkdfmtjapanese", multi: japanese.EUCJP},
		{name: "euc-kr", also: "ks_c_5601-1987 ksc5601 korean cseuckr csksc56011987 windows-949 cp949 iso-ir-149", multi: korean.EUCKR},
		{name: usASCII, also: "ascii ansi_x3.4-1968 iso646-us iso-ir-6 csascii ibm367 cp367", single: charmap.ISO8859_1},
	}
}

// charsetNames finds the encodings by any of their names.
var charsetNames = func() map[string]charset {
	names := map[string]charset{}
	for _, c := range charsets() {
		names[plainName(c.name)] = c
		for _, also := range strings.Fields(c.also) {
			names[plainName(also)] = c
		}
	}
	return names
}()

// findCharset looks an encoding up by any of its names.
func findCharset(name string) (charset, bool) {
	c, known := charsetNames[plainName(name)]
	return c, known
}

// plainName is a name without what may be written one way or the other.
func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '-' || r == '_' || r == '.' || r == ' ':
			return -1
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

// utf8 tells whether nothing is to be turned.
func (c charset) utf8() bool { return c.single == nil && c.multi == nil && c.wide == noOrder }

// decode returns the character that a byte stands for, false when there is none. A line ends with NEL on a mainframe.
func (c charset) decode(b byte) (rune, bool) {
	for _, x := range c.swap {
		if x.b == b {
			return x.r, true
		}
	}
	r := c.single.DecodeByte(b)
	switch {
	case c.ebcdic && r == nextLine:
		return '\n', true
	case c.ebcdic:
		return r, true
	case c.name == usASCII && b >= 0x80, r >= 0x80 && r < 0xA0, r == '\uFFFD': // control characters stand in no file that a person means
		return 0, false
	}
	return r, true
}

const (
	utf16le  = "utf-16le"
	utf16be  = "utf-16be"
	utf32le  = "utf-32le"
	utf32be  = "utf-32be"
	usASCII  = "us-ascii"
	nextLine = '\u0085'
)

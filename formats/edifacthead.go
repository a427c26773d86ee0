package formats

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// syntaxLevel is what UNB says of the characters: UNOA, UNOC, …
func syntaxLevel(unb []byte, s *ediService) string { return string(cut(s.component(unb, 1, 1))) }

// levelCharset is the encoding that a level stands for (code list 0001). UNOX changes between several, which nobody reads without being told.
func levelCharset(level string) (string, bool) {
	name, known := map[string]string{
		"UNOA": usASCII, "UNOB": usASCII, "UNOC": "iso-8859-1", "UNOD": "iso-8859-2", "UNOE": "iso-8859-5", "UNOF": "iso-8859-7",
		"UNOG": "iso-8859-3", "UNOH": "iso-8859-4", "UNOI": "iso-8859-6", "UNOJ": "iso-8859-8", "UNOK": "iso-8859-9", "UNOL": "iso-8859-15",
		"UNOW": UTF8, "UNOY": UTF8, "KECA": "euc-kr",
	}[level]
	return name, known
}

// declaredLevel returns what the UNB at the start of text declares, "" when there is none.
func declaredLevel(text []byte) string {
	k := ediScan{w: &window{buf: text, end: len(text), err: errStopped, o: Options{}}, limits: Limits{}.WithDefaults()}
	if err := k.begin(); err != nil {
		return ""
	}
	head := k.w.data()
	if len(head) < 4 || head[3] != k.service.element {
		return ""
	}
	head = head[4:]
	end := bytes.IndexAny(head[:min(len(head), 16)], string([]byte{k.service.part, k.service.element, k.service.end}))
	if end < 0 {
		return ""
	}
	return string(head[:end])
}

// levelOf is the encoding of an EDIFACT file by its UNB; seen is "" when it has none. found is what a byte order mark says.
func levelOf(text []byte, found string) (c charset, seen string, err error) {
	level := declaredLevel(text)
	if level == "" {
		return c, "", nil
	}
	name, known := levelCharset(level)
	if !known {
		return c, "", &FileError{Line: 1, Reason: fmt.Sprintf("the file declares the characters of %q, which are not known here: say encoding: and which they really are", cut([]byte(level)))}
	}
	c, _ = findCharset(name)
	f, _ := findCharset(found)
	switch {
	case found != "" && f.name != name && name != usASCII:
		return c, "", &FileError{Line: 1, Reason: fmt.Sprintf("the file declares %s (%s) but starts as %s does: if the declaration is wrong, say encoding: %s", level, name, found, found)}
	case found != "":
		return f, "by its byte order mark", nil
	case name != UTF8 && looksUTF8(text):
		return c, "", &FileError{Line: 1, Reason: fmt.Sprintf("the file declares %s (%s) but its text is UTF-8: if the declaration is wrong, say encoding: utf-8", level, name)}
	}
	return c, fmt.Sprintf("as UNB declares, %s", level), nil
}

// looksUTF8 tells whether text has characters beyond ASCII and all of them are right UTF-8, which other text hardly ever is.
func looksUTF8(text []byte) bool {
	text = text[:len(text)-cutCharacter(text)]
	return !isASCII(text) && utf8.Valid(text)
}

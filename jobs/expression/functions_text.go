package expression

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// textFunctions work on text. Places and lengths count characters.
var textFunctions = map[string]function{
	"upper":      {use: "upper(text)", params: []kindSet{texts}, least: 1, gives: KindString, run: onText(strings.ToUpper)},
	"lower":      {use: "lower(text)", params: []kindSet{texts}, least: 1, gives: KindString, run: onText(strings.ToLower)},
	"slug":       {use: "slug(text)", params: []kindSet{texts}, least: 1, gives: KindString, run: onText(slug)},
	"trim":       {use: "trim(text, characters)", params: []kindSet{texts, texts}, least: 1, gives: KindString, run: trim},
	"trimPrefix": {use: "trimPrefix(text, prefix)", params: []kindSet{texts, texts}, least: 2, gives: KindString, run: onTexts(strings.TrimPrefix)},
	"trimSuffix": {use: "trimSuffix(text, suffix)", params: []kindSet{texts, texts}, least: 2, gives: KindString, run: onTexts(strings.TrimSuffix)},
	"replace":    {use: "replace(text, old, new)", params: []kindSet{texts, texts, texts}, least: 3, gives: KindString, run: replace},
	"split":      {use: "split(text, separator)", params: []kindSet{texts, texts}, least: 2, typed: givesTexts, run: split},
	"join":       {use: "join(list, separator)", params: []kindSet{lists, texts}, least: 1, gives: KindString, run: join},
	"substring":  {use: "substring(text, from, length)", params: []kindSet{texts, integers, integers}, least: 2, gives: KindString, run: substring},
	"indexOf":    {use: "indexOf(text, part)", params: []kindSet{texts, texts}, least: 2, gives: KindInteger, run: indexOf},
	"repeat":     {use: "repeat(text, times)", params: []kindSet{texts, integers}, least: 2, gives: KindString, run: repeat},
	"padLeft":    {use: "padLeft(text, width, fill)", params: []kindSet{texts, integers, texts}, least: 2, gives: KindString, run: padLeft},
	"padRight":   {use: "padRight(text, width, fill)", params: []kindSet{texts, integers, texts}, least: 2, gives: KindString, run: padRight},
	"mask":       {use: "mask(text, shown)", params: []kindSet{texts, integers}, least: 1, gives: KindString, run: mask},
	"text":       {use: "text(value)", params: []kindSet{scalars}, least: 1, gives: KindString, run: toText},
}

func givesTexts([]term) Type { return ListOf(Of(KindString)) }

func str(v any) string { s, _ := v.(string); return s }
func num(v any) int64  { i, _ := v.(int64); return i }

// made accounts for a text that a function has made.
func made(r *run, s string) (any, error) { return s, r.take(len(s)) }

func onText(f func(string) string) func(*run, []any) (any, error) {
	return func(r *run, args []any) (any, error) { return made(r, f(str(args[0]))) }
}

func onTexts(f func(text, part string) string) func(*run, []any) (any, error) {
	return func(r *run, args []any) (any, error) { return made(r, f(str(args[0]), str(args[1]))) }
}

func trim(r *run, args []any) (any, error) {
	if len(args) == 2 {
		return made(r, strings.Trim(str(args[0]), str(args[1])))
	}
	return made(r, strings.TrimSpace(str(args[0])))
}

// replace counts before it writes: replacing each of a million letters by a
// million letters is not to be tried.
func replace(r *run, args []any) (any, error) {
	text, old, new := str(args[0]), str(args[1]), str(args[2])
	if old == "" {
		return nil, errors.New("replace needs something to look for")
	}
	n := strings.Count(text, old)
	if err := r.take(len(text)); err != nil {
		return nil, err
	}
	if err := takeTimes(r, len(new), int64(n)); err != nil {
		return nil, err
	}
	return strings.ReplaceAll(text, old, new), nil
}

// takeTimes accounts for n times size bytes.
func takeTimes(r *run, size int, n int64) error {
	if size > 0 && n > int64(maxRoom/size) {
		return errRoom
	}
	return r.take(size * int(n))
}

func split(r *run, args []any) (any, error) {
	if str(args[1]) == "" {
		return nil, errors.New("split needs a separator")
	}
	if err := r.takeElements(2 * (1 + strings.Count(str(args[0]), str(args[1])))); err != nil {
		return nil, err
	}
	return normalList(strings.Split(str(args[0]), str(args[1]))), nil
}

// join writes the elements as text does; those that are absent are left out.
func join(r *run, args []any) (any, error) {
	list, _ := args[0].([]any)
	separator := ""
	if len(args) == 2 {
		separator = str(args[1])
	}
	var b strings.Builder
	some := false
	for _, v := range list {
		if v == nil {
			continue
		}
		text, err := Text(v)
		if err != nil {
			return nil, err
		}
		if err := r.take(len(text) + len(separator)); err != nil {
			return nil, err
		}
		if some {
			b.WriteString(separator)
		}
		b.WriteString(text)
		some = true
	}
	return b.String(), nil
}

func substring(r *run, args []any) (any, error) {
	text, from, length := str(args[0]), num(args[1]), int64(maxRoom)
	if len(args) == 3 {
		length = num(args[2])
	}
	if from < 0 || length < 0 {
		return nil, errors.New("substring(text, from, length) counts from 0, neither may be negative")
	}
	start := characters(text, from)
	end := start + characters(text[start:], length)
	return made(r, text[start:end])
}

// characters is where in text, in bytes, its n-th character begins.
func characters(text string, n int64) int {
	for at := range text {
		if n == 0 {
			return at
		}
		n--
	}
	return len(text)
}

// indexOf is the place of the first character of part, or -1.
func indexOf(_ *run, args []any) (any, error) {
	at := strings.Index(str(args[0]), str(args[1]))
	if at < 0 {
		return int64(-1), nil
	}
	return int64(utf8.RuneCountInString(str(args[0])[:at])), nil
}

func repeat(r *run, args []any) (any, error) {
	if num(args[1]) < 0 {
		return nil, errors.New("repeat cannot repeat a negative number of times")
	}
	if err := takeTimes(r, max(1, len(str(args[0]))), num(args[1])); err != nil {
		return nil, err
	}
	return strings.Repeat(str(args[0]), int(num(args[1]))), nil
}

func padLeft(r *run, args []any) (any, error) {
	fill, err := filling(r, args)
	return fill + str(args[0]), err
}

func padRight(r *run, args []any) (any, error) {
	fill, err := filling(r, args)
	return str(args[0]) + fill, err
}

// filling is what lacks to the width.
func filling(r *run, args []any) (string, error) {
	fill := " "
	if len(args) == 3 {
		fill = str(args[2])
	}
	if utf8.RuneCountInString(fill) != 1 {
		return "", errors.New("the fill is a single character")
	}
	lacking := max(0, num(args[1])-int64(utf8.RuneCountInString(str(args[0]))))
	if err := r.take(len(str(args[0]))); err != nil {
		return "", err
	}
	if err := takeTimes(r, len(fill), lacking); err != nil {
		return "", err
	}
	return strings.Repeat(fill, int(lacking)), nil
}

// mask hides all characters but the last four, or as many as said; of a short
// text it hides at least half.
func mask(r *run, args []any) (any, error) {
	shown := int64(4)
	if len(args) == 2 {
		shown = num(args[1])
	}
	if shown < 0 {
		return nil, errors.New("mask cannot show a negative number of characters")
	}
	size := int64(utf8.RuneCountInString(str(args[0])))
	shown = min(shown, size/2)
	return made(r, strings.Repeat("*", int(size-shown))+str(args[0])[characters(str(args[0]), size-shown):])
}

func toText(r *run, args []any) (any, error) {
	text, err := Text(args[0])
	if err != nil {
		return nil, err
	}
	return made(r, text)
}

// slug is text for addresses and file names: small letters and digits of any
// script, accents taken off Latin ones, a hyphen for whatever stands between.
func slug(text string) string {
	var b strings.Builder
	gap, latin := false, false
	for _, c := range norm.NFD.String(text) {
		switch {
		case unicode.Is(unicode.Mn, c):
			if !latin { // й is a letter of its own, é is not
				b.WriteRune(c)
			}
			continue
		case unicode.IsLetter(c) || unicode.IsDigit(c):
			if gap && b.Len() > 0 {
				b.WriteByte('-')
			}
			gap = false
			b.WriteString(plainLetters(unicode.ToLower(c)))
		default:
			gap = true
		}
		latin = unicode.Is(unicode.Latin, c)
	}
	return norm.NFC.String(b.String())
}

// plainLetters spells out Latin letters that are no others with accents.
func plainLetters(c rune) string {
	switch c {
	case 'ß':
		return "ss"
	case 'æ':
		return "ae"
	case 'œ':
		return "oe"
	case 'ø':
		return "o"
	case 'ł':
		return "l"
	case 'đ', 'ð':
		return "d"
	case 'þ':
		return "th"
	}
	return fmt.Sprintf("%c", c)
}

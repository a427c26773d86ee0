package infer

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Field is a field that is proposed, in the words of the configuration.
type Field struct {
	Name      string
	From      string // "" where it is the name
	Column    string // number of the column, where no title tells it
	Type      string // "" is string
	Format    string
	Decimal   string // "." or ","
	Thousands string
	TrueIs    string
	FalseIs   string
	Required  bool
	Fields    []*Field
	Why       string // the evidence
}

// vagueWord is a name that says little without what it stands in.
var vagueWord = regexp.MustCompile(`(?i)^(id|ids|name|code|value|type|number|no|date|amount|text|status|description)$`)

// thing is the name of a field whose digits name something and count nothing.
var thing = regexp.MustCompile(`(?i)(^|_)(id|ids|code|version|phone|telephone|telefax|fax|mobile|zip|postal_?code|postal_?zone|postbox|plz|ean|gtin|upc|iban|bic|siren|siret|vat|account|sku|ref|reference)($|_)|[a-z](Id|ID|Code)$|` +
	`(?i:(order|po|customer|client|supplier|vendor|document|invoice|contract|article|item|product|batch|lot|serial|tracking|commande|facture|kunden|artikel|auftrags?)_?(no|nr|num|number|nummer)$)`)

// money is the name of a field that holds an amount, which has cents in some other file.
var money = regexp.MustCompile(`(?i)(^|_)(price|amount|cost|prix|montant|preis|betrag|цена|сумма|стоимость)($|_)|[a-z](Price|Amount|Cost)$`)

// A namer makes names of fields: each once among its neighbours, and none that the language has for itself.
type namer struct {
	taken    map[string]bool
	reserved func(string) bool
}

func (n *namer) name(words ...string) string {
	last := words[len(words)-1]
	name := identifier(last)
	vague := len(words) > 1 && (strings.HasPrefix(last, "@") || vagueWord.MatchString(last))
	for i := len(words) - 2; i >= 0 && (name == "" || vague || n.taken[name]); i-- {
		vague = false
		name = strings.TrimSuffix(identifier(words[i])+"_"+name, "_")
	}
	switch {
	case name == "" && last == "#text":
		name = "text"
	case name == "":
		name = "field"
	case n.reserved(name):
		name += "_value"
	}
	unique := name
	for k := 2; n.taken[unique] || n.reserved(unique); k++ {
		unique = fmt.Sprintf("%s_%d", name, k)
	}
	n.taken[unique] = true
	return unique
}

// identifier makes a name of a title: words in small letters with underscores between them. A name that begins with a small letter, as programs
// have it, stays as it is.
func identifier(title string) string {
	if title == "#text" {
		return ""
	}
	title = strings.TrimLeft(title, "@#")
	if first, _ := utf8.DecodeRuneInString(title); isIdentifier(title) && unicode.IsLower(first) {
		return title
	}
	var b strings.Builder
	under := false
	runes := []rune(title)
	for i, r := range runes {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			under = b.Len() > 0
			continue
		}
		if unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) || unicode.IsUpper(runes[i-1]) && i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			under = b.Len() > 0 // a word begins
		}
		if under {
			b.WriteByte('_')
			under = false
		}
		b.WriteRune(unicode.ToLower(r))
	}
	name := b.String()
	if first, _ := utf8.DecodeRuneInString(name); unicode.IsDigit(first) {
		name = "n" + name
	}
	return name
}

func isIdentifier(s string) bool {
	for i, r := range s {
		if !unicode.IsLetter(r) && r != '_' && (i == 0 || !unicode.IsDigit(r)) {
			return false
		}
	}
	return s != ""
}

// A dialect is how paths of one format are written.
type dialect struct {
	xml bool
}

// join writes a path of member names, as from has it.
func (d dialect) join(path []string) string {
	var b strings.Builder
	for i, name := range path {
		switch {
		case d.xml && name == "#text":
			if i == 0 {
				b.WriteString(".")
			}
		case d.xml:
			if i > 0 {
				b.WriteByte('/')
			}
			b.WriteString(name)
		case strings.ContainsAny(name, `.[]"$`) || name == "":
			b.WriteString("[" + strconv.Quote(name) + "]")
		default:
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(name)
		}
	}
	return b.String()
}

// A maker makes fields of shapes.
type maker struct {
	dialect
	reserved func(string) bool
}

// record proposes the fields of records, or of the elements of a list.
func (m *maker) record(s *shape) []*Field {
	n := &namer{taken: map[string]bool{}, reserved: m.reserved}
	return m.members(n, s, nil, true, s.objects)
}

// members proposes the fields that stand in an object. Objects in objects are taken apart: their fields become fields with a path.
func (m *maker) members(n *namer, s *shape, path []string, always bool, of int) (list []*Field) {
	for _, part := range s.members {
		at := append(append([]string{}, path...), part.name)
		there := always && part.seen == of && s.objects == of
		if part.objects > 0 && part.lists == 0 && part.scalars() == part.column.kinds[null] {
			list = append(list, m.members(n, part, at, there && part.objects == of, of)...)
			continue
		}
		list = append(list, m.field(n, part, at, there, of))
	}
	return list
}

func (m *maker) field(n *namer, s *shape, path []string, there bool, of int) *Field {
	f := &Field{Name: n.name(path...)}
	if from := m.join(path); from != f.Name {
		f.From = from
	}
	switch {
	case s.lists > 0 && s.objects == 0 && s.scalars() == s.column.kinds[null]:
		f.Type = "list"
		f.Required = there && s.column.kinds[null] == 0
		f.Why = fmt.Sprintf("a list, in %s, up to %d elements", share(s.seen, of), s.most)
		if e := s.element; e.objects > 0 && e.objects == e.seen {
			f.Fields = m.record(e)
		}
	case s.objects > 0 || s.lists > 0:
		f.Type = "raw"
		f.Why = "now an object or a list, now something else"
	default:
		f.scalar(&s.column, there, of)
	}
	return f
}

// scalar proposes type and limits of what is one value.
func (f *Field) scalar(c *column, there bool, of int) {
	why := c.guess(f)
	if (f.Type == "integer" || f.Type == "decimal") && c.kinds[number] == 0 && thing.MatchString(f.Name) {
		f.Type, f.Decimal, f.Thousands, why = "", "", "", "text: by its name no quantity"
	}
	if f.Type == "integer" && money.MatchString(f.Name) {
		f.Type, why = "decimal", "whole numbers, but by its name an amount"
	}
	f.Required = there && c.values == of && of > 0
	f.Why = share(c.values, of)
	if why != "" {
		f.Why += "; " + why
	}
}

func share(n, of int) string {
	if n == of {
		return fmt.Sprintf("%d of %d", n, of)
	}
	return fmt.Sprintf("%d of %d, %d without", n, of, of-n)
}

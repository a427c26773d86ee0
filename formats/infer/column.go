package infer

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A column counts the texts of one place, and keeps which types all of them have in common.
type column struct {
	kinds  [moment + 1]int // how many of each kind
	empty  int             // texts with nothing in them
	values int             // the others, of whatever kind
	fits   mask            // what all texts can be
	begun  bool
	zeros  bool // one begins with a zero that a number would lose
	digits int  // of the longest integer
	marks  int  // numbers with a decimal mark
	exact  bool // a JSON number with an exponent was there
	times  int  // moments with a time of day
	few    map[string]int
}

// A mask is a set of types that a text can be read as.
type mask uint64

const (
	anInteger mask = 1 << iota
	pointed        // 12.50
	comma          // 12,50
	pointedThousands
	commaThousands
	firstForm // of the forms of dates and times, in their order
)

const fewMost = 12 // different values that are remembered

var (
	wholeNumber = regexp.MustCompile(`^-?[0-9]+$`)
	withPoint   = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)
	withComma   = regexp.MustCompile(`^-?[0-9]+(,[0-9]+)?$`)
	pointApart  = regexp.MustCompile(`^-?[0-9]{1,3}(([ ,'\x{a0}\x{202f}])[0-9]{3})*(\.[0-9]+)?$`)
	commaApart  = regexp.MustCompile(`^-?[0-9]{1,3}(([ .'\x{a0}\x{202f}])[0-9]{3})*(,[0-9]+)?$`)
)

// add counts one value.
func (c *column) add(v *value) {
	c.kinds[v.kind]++
	s := strings.TrimSpace(v.text)
	if v.kind == null || s == "" && v.kind == text {
		if v.kind == text {
			c.empty++
		}
		return
	}
	c.values++
	if c.few == nil {
		c.few = map[string]int{}
	}
	if _, known := c.few[s]; known || len(c.few) <= fewMost {
		c.few[s]++
	}
	switch v.kind {
	case number:
		c.exact = c.exact || strings.ContainsAny(s, "eE")
		c.number(s)
	case moment:
		if strings.Contains(s, ":") {
			c.times++
		}
	case text:
		fits := c.number(s) | formsOf(s)
		if !c.begun {
			c.fits, c.begun = fits, true
		}
		c.fits &= fits
	}
}

// number notes what kind of number a text is.
func (c *column) number(s string) (fits mask) {
	for _, p := range []struct {
		m    mask
		form *regexp.Regexp
	}{{anInteger, wholeNumber}, {pointed, withPoint}, {comma, withComma}, {pointedThousands, pointApart}, {commaThousands, commaApart}} {
		if p.form.MatchString(s) {
			fits |= p.m
		}
	}
	bare := strings.TrimPrefix(s, "-")
	if fits != 0 && fits&anInteger == 0 {
		c.marks++
	}
	if fits != 0 && len(bare) > 1 && bare[0] == '0' && bare[1] >= '0' && bare[1] <= '9' {
		c.zeros = true
	}
	if fits&anInteger != 0 {
		c.digits = max(c.digits, len(bare))
	}
	return fits
}

// merge adds what another column has counted.
func (c *column) merge(o *column) {
	for k := range c.kinds {
		c.kinds[k] += o.kinds[k]
	}
	switch {
	case c.begun && o.begun:
		c.fits &= o.fits
	case o.begun:
		c.fits, c.begun = o.fits, true
	}
	c.empty += o.empty
	c.values += o.values
	c.zeros, c.exact = c.zeros || o.zeros, c.exact || o.exact
	c.digits, c.marks, c.times = max(c.digits, o.digits), c.marks+o.marks, c.times+o.times
	if c.few == nil {
		c.few = map[string]int{}
	}
	for s, n := range o.few {
		c.few[s] += n
	}
}

// idDigits is from how many digits on a whole number is taken for the name of something.
const idDigits = 10

// guess sets type and limits of a field, and says why.
func (c *column) guess(f *Field) (why string) {
	all := func(k kind) bool { return c.values > 0 && c.kinds[k] == c.values }
	switch {
	case c.values == 0:
		return "nothing in it"
	case all(boolean):
		f.Type = "boolean"
	case all(number):
		f.Type = "decimal"
		switch {
		case c.exact:
			f.Type = "number"
		case c.marks == 0 && c.digits <= 18:
			f.Type = "integer"
		}
	case all(moment):
		f.Type = map[bool]string{true: "datetime", false: "date"}[c.times > 0]
	case c.kinds[text]-c.empty == c.values:
		return c.texts(f)
	default:
		f.Type = "raw"
		return "values of several kinds"
	}
	return ""
}

// texts guesses what texts stand for.
func (c *column) texts(f *Field) (why string) {
	if yes, no, ok := c.truths(); ok {
		f.Type, f.TrueIs, f.FalseIs = "boolean", yes, no
		if yes == "true" && no == "false" {
			f.TrueIs, f.FalseIs = "", ""
		}
		return ""
	}
	if form, others := c.form(); form != nil {
		f.Type, f.Format = form.typ, form.format
		if len(others) > 0 {
			return "might also be " + strings.Join(others, " or ")
		}
		return ""
	}
	switch {
	case c.fits&(anInteger|pointed|comma|pointedThousands|commaThousands) == 0:
	case c.zeros:
		return "text: leading zeros"
	case c.fits&anInteger != 0 && c.digits >= idDigits:
		return fmt.Sprintf("text: up to %d digits", c.digits)
	case c.fits&anInteger != 0:
		f.Type = "integer"
		return ""
	case c.fits&pointed != 0:
		f.Type, f.Decimal = "decimal", "."
		return ""
	case c.fits&comma != 0:
		f.Type, f.Decimal = "decimal", ","
		return ""
	default:
		f.Type, f.Decimal = "decimal", "."
		if c.fits&pointedThousands == 0 {
			f.Decimal = ","
		}
		f.Thousands = c.apart(f.Decimal)
		return "numbers with marks between thousands"
	}
	if len(c.few) <= 5 && c.values >= 10 && c.values >= 3*len(c.few) {
		return "one of " + strings.Join(slices.Sorted(maps.Keys(c.few)), ", ")
	}
	return ""
}

// apart finds the mark between thousands.
func (c *column) apart(decimal string) string {
	for s := range c.few {
		for _, mark := range []string{" ", "'", "\u00a0", "\u202f", ".", ","} {
			if mark != decimal && strings.Contains(s, mark) {
				return mark
			}
		}
	}
	return ""
}

// truths finds the two texts of a yes or no. Of single letters both must have been seen.
func (c *column) truths() (yes, no string, ok bool) {
	if len(c.few) == 0 || len(c.few) > 2 {
		return "", "", false
	}
	for _, pair := range [][2]string{{"true", "false"}, {"yes", "no"}, {"oui", "non"}, {"ja", "nein"}, {"si", "no"}, {"да", "нет"}, {"vrai", "faux"}, {"wahr", "falsch"}, {"Y", "N"}, {"O", "N"}, {"J", "N"}, {"T", "F"}, {"V", "F"}} {
		for _, form := range []func(string) string{func(s string) string { return s }, strings.ToUpper, strings.ToLower, capital} {
			yes, no = form(pair[0]), form(pair[1])
			seen := c.few[yes] + c.few[no]
			if seen == c.values && (len(c.few) == 2 || len(pair[0]) > 1) {
				return yes, no, true
			}
		}
	}
	return "", "", false
}

func capital(s string) string {
	r := []rune(s)
	return strings.ToUpper(string(r[:1])) + string(r[1:])
}

package config

import (
	"encoding"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// The grammars of scalars; the schema shows the same patterns.
const (
	durationPattern = `^([0-9]+(ms|[smhdw]))+$`
	sizePattern     = `^[0-9]+(B|KiB|MiB|GiB|KB|MB|GB)$`
	ratePattern     = `^[0-9]+/[smh]$`
	sharePattern    = `^[0-9]+(\.[0-9]+)?%$`
	integerPattern  = `^-?(0|[1-9][0-9]*)$`
	numberPattern   = `^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`
	namePattern     = `^[\p{L}\p{N}][\p{L}\p{N}_-]{0,62}$`
)

var (
	itemName     = regexp.MustCompile(namePattern)
	wholeLength  = regexp.MustCompile(durationPattern)
	lengthPart   = regexp.MustCompile(`([0-9]+)(ms|[smhdw])`)
	wholeSize    = regexp.MustCompile(sizePattern)
	wholeRate    = regexp.MustCompile(ratePattern)
	wholeShare   = regexp.MustCompile(sharePattern)
	wholeInteger = regexp.MustCompile(integerPattern)
	wholeNumber  = regexp.MustCompile(numberPattern)
	digits       = regexp.MustCompile(`^[0-9]+$`)
	plainPath    = regexp.MustCompile(`^[\p{L}_][\p{L}\p{N}_]*(\.[\p{L}_][\p{L}\p{N}_]*|\[[0-9]+\])*$`)
)

// unfit tells why a text is not what a field takes; what follows the text in a sentence, and what would be right.
type unfit struct{ what, remedy string }

func (u unfit) Error() string { return u.what + ", " + u.remedy }

// scalar decodes one text.
func (l *loader) scalar(at place, v reflect.Value) {
	if at.node.Kind != yaml.ScalarNode {
		remedy := ""
		if at.node.Kind == yaml.SequenceNode {
			remedy = "one text belongs here"
		}
		l.mismatch(at, "a text", remedy)
		return
	}
	if !l.hidden[at.node] {
		l.plain[spot{l.files[at.node], at.node.Line, at.node.Column}] = true
	}
	text, ok := l.text(at)
	if !ok {
		return
	}
	for _, m := range userinfo.FindAllStringSubmatch(text.value, -1) {
		if _, password, ok := strings.Cut(m[2], ":"); ok {
			l.hide(password)
		}
	}
	err := assign(v, at.field, text.value)
	if err == nil {
		if at.field.ref != "" {
			l.mentions = append(l.mentions, mention{at.node, at.field.ref, text.value})
		}
		return
	}
	shown := fmt.Sprintf("%q", at.node.Value)
	if l.hidden[at.node] {
		shown = "the secret"
	} else if len(text.references) > 0 {
		shown = "the value of " + strings.Join(text.references, "")
	}
	var u unfit
	switch {
	case errors.As(err, &u):
		if u.remedy == "" && len(at.keys) > 0 {
			u.remedy = "nor a mapping of " + strings.Join(at.keys, ", ")
		}
		l.report(at.node, shown+" "+u.what, u.remedy)
	case l.hidden[at.node] || len(text.references) > 0:
		l.report(at.node, shown+" is not what belongs here", "") // the error may show the value
	default:
		l.report(at.node, err.Error(), "")
	}
}

// assign parses a text into a field.
func assign(v reflect.Value, f field, text string) error {
	if len(f.enum) > 0 && !slices.Contains(f.enum, text) {
		return notOneOf(f.enum, text)
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch k := v.Kind(); {
	case v.Type() == reflect.TypeFor[time.Duration]():
		d, err := parseDuration(text)
		v.SetInt(int64(d))
		return err
	case k == reflect.String:
		v.SetString(text)
		return checkText(f, text)
	case k == reflect.Bool:
		v.SetBool(text == "true")
		if text != "true" && text != "false" {
			return unfit{"is not a boolean", "write true or false"}
		}
	case f.as == "size":
		n, err := parseSize(text)
		v.SetInt(n)
		return err
	case k == reflect.Float64:
		x, err := parseFloat(f.as, text)
		v.SetFloat(x)
		return err
	default:
		return assignInteger(v, text)
	}
	return nil
}

func notOneOf(enum []string, text string) error {
	u := unfit{"is not one of " + strings.Join(enum, ", "), ""}
	if len(enum) == 1 {
		u.what = "is not " + enum[0]
	}
	if near := nearest(text, enum); near != "" {
		u.remedy = fmt.Sprintf("did you mean %q?", near)
	}
	return u
}

func checkText(f field, text string) error {
	if f.as == "zone" {
		if _, err := time.LoadLocation(text); err != nil || text == "" || text == "Local" {
			return unfit{"is not a time zone", "write for example Europe/Paris or UTC"}
		}
	}
	return nil
}

func assignInteger(v reflect.Value, text string) error {
	if !wholeInteger.MatchString(text) {
		u := unfit{"is not an integer", ""}
		if digits.MatchString(text) {
			u.remedy = "leave the leading zeros out"
		}
		return u
	}
	if v.CanUint() {
		n, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil {
			return unfit{"is out of range", fmt.Sprintf("from 0 to %d", uint64(math.MaxUint64)>>(64-v.Type().Bits()))}
		}
		v.SetUint(n)
		return nil
	}
	n, err := strconv.ParseInt(text, 10, v.Type().Bits())
	if err != nil {
		return unfit{"is out of range", fmt.Sprintf("at most %d", int64(math.MaxInt64)>>(64-v.Type().Bits()))}
	}
	v.SetInt(n)
	return nil
}

// parseDuration reads 1h30m, 90d or 2w; a day has 24 hours.
func parseDuration(text string) (time.Duration, error) {
	if digits.MatchString(text) {
		return 0, unfit{"has no unit", fmt.Sprintf("write %ss, %sm, %sh or %sd", text, text, text, text)}
	}
	if !wholeLength.MatchString(text) {
		return 0, unfit{"is not a duration", "write for example 500ms, 30s, 1h30m, 90d or 2w"}
	}
	units := map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
	}
	var sum time.Duration
	for _, m := range lengthPart.FindAllStringSubmatch(text, -1) {
		n, err := strconv.ParseInt(m[1], 10, 64)
		unit := units[m[2]]
		if err != nil || n > int64((math.MaxInt64-sum)/unit) {
			return 0, unfit{"is too long", "the longest duration is about 290 years"}
		}
		sum += time.Duration(n) * unit
	}
	return sum, nil
}

// parseSize reads 10GiB or 500KB.
func parseSize(text string) (int64, error) {
	if digits.MatchString(text) {
		return 0, unfit{"has no unit", fmt.Sprintf("write %sB, %sKiB or %sMiB", text, text, text)}
	}
	m := wholeSize.FindStringSubmatch(text)
	if m == nil {
		return 0, unfit{"is not a size", "write for example 64KiB, 10MiB or 1GiB"}
	}
	units := map[string]int64{"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "KB": 1e3, "MB": 1e6, "GB": 1e9}
	n, err := strconv.ParseInt(strings.TrimSuffix(text, m[1]), 10, 64)
	if err != nil || n > math.MaxInt64/units[m[1]] {
		return 0, unfit{"is too large", ""}
	}
	return n * units[m[1]], nil
}

// parseFloat reads a number, a rate (per second) or a share (of 1).
func parseFloat(as, text string) (float64, error) {
	factor := 1.0
	switch {
	case as == "rate":
		if !wholeRate.MatchString(text) {
			return 0, unfit{"is not a rate", "write for example 50/s or 100/m"}
		}
		factor = map[byte]float64{'s': 1, 'm': 1.0 / 60, 'h': 1.0 / 3600}[text[len(text)-1]]
		text = text[:len(text)-2]
	case as == "share":
		if !wholeShare.MatchString(text) {
			return 0, unfit{"is not a share", "write for example 50%"}
		}
		factor, text = 0.01, text[:len(text)-1]
	case !wholeNumber.MatchString(text):
		return 0, unfit{"is not a number", "write for example 2 or 1.5"}
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, unfit{"is out of range", ""}
	}
	return x * factor, nil
}

// readFile reads at most what a configuration file may have, and one byte.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return data, nil
}

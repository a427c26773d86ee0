package xlsx

import (
	"math"
	"strconv"
	"strings"
	"time"

	"waybill/formats/fault"
)

// A spreadsheet keeps a date as a number, of days since an epoch, and only the number format of its cell tells that it is one.

// shape is what a number format makes of a number.
type shape uint8

const (
	shapeDate    shape = 1 << iota // it shows years, months or days
	shapeTime                      // it shows hours, minutes or seconds
	shapeElapsed                   // it shows hours beyond 24
	shapeEither                    // a date in one language, a time in another: the number tells
)

// builtinShape is that of the formats every workbook has without naming them, those of East Asia included.
func builtinShape(n int) shape {
	switch {
	case n >= 14 && n <= 17, n >= 27 && n <= 31, n == 36, n >= 50 && n <= 54, n == 57, n == 58, n >= 71 && n <= 74, n == 81:
		return shapeDate
	case n >= 18 && n <= 21, n == 32, n == 33, n == 45, n == 47, n == 75, n == 76, n == 78, n == 80:
		return shapeTime
	case n == 22, n == 77:
		return shapeDate | shapeTime
	case n == 34, n == 35, n == 55, n == 56: // 34 is a month of a year in Japan, a time of day in China
		return shapeEither
	case n == 46, n == 79:
		return shapeTime | shapeElapsed
	}
	return 0
}

// shapeOf reads the first section of a format code, which is that of positive numbers.
func shapeOf(code string) shape {
	code, elapsed := bareCode(code)
	if strings.EqualFold(code, "general") || strings.EqualFold(code, "standard") || code == "@" {
		return elapsed
	}
	if look, ok := foreignShape(code); ok {
		return look
	}
	return elapsed | plainShape(strings.ToLower(code))
}

// ShowsDates tells whether a number format of a spreadsheet shows dates or times.
func ShowsDates(code string) bool { return shapeOf(code) != 0 }

// bareCode takes off what is shown literally, colours, conditions and locales, and says whether there is [h], [m] or [s].
func bareCode(code string) (string, shape) {
	var b strings.Builder
	var elapsed shape
	rs := []rune(code)
	for i := 0; i < len(rs); i++ {
		switch rs[i] {
		case ';':
			return b.String(), elapsed
		case '\\', '_', '*':
			i++
		case '"':
			for i++; i < len(rs) && rs[i] != '"'; i++ {
			}
		case '[':
			from := i + 1
			for i < len(rs) && rs[i] != ']' {
				i++
			}
			inner := strings.ToLower(string(rs[min(from, i):i]))
			if inner != "" && (strings.Trim(inner, "h") == "" || strings.Trim(inner, "m") == "" || strings.Trim(inner, "s") == "") {
				elapsed |= shapeTime | shapeElapsed
				b.WriteString(inner[:1])
			}
		default:
			b.WriteRune(rs[i])
		}
	}
	return b.String(), elapsed
}

// plainShape goes by the letters: an m is a minute behind hours and before seconds, else a month.
func plainShape(code string) shape {
	code = strings.NewReplacer("am/pm", "p", "a/p", "p", "上午/下午", "p", "e+", "", "e-", "").Replace(code)
	var look shape
	last := byte(0)
	for i := 0; i < len(code); i++ {
		switch c := code[i]; c {
		case 'y', 'd', 'e', 'g', 'b':
			look |= shapeDate
			last = c
		case 'h', 'p':
			look |= shapeTime
			last = c
		case 's':
			look |= shapeTime
			last = c
		case 'm':
			n := 1
			for i+n < len(code) && code[i+n] == 'm' {
				n++
			}
			after := strings.TrimLeft(code[i+n:], ":. ")
			if n <= 2 && (last == 'h' || strings.HasPrefix(after, "s")) {
				look |= shapeTime
			} else {
				look |= shapeDate
			}
			last = c
			i += n - 1
		}
	}
	return look
}

// foreignShape knows codes written in the words of another language, which some programs put into files: ДД.ММ.ГГГГ, TT.MM.JJJJ.
func foreignShape(code string) (shape, bool) {
	var look shape
	words := strings.FieldsFunc(strings.ToLower(code), func(r rune) bool { return strings.ContainsRune(" .,-/:'", r) })
	foreign := false
	for _, w := range words {
		switch w {
		case "д", "дд", "м", "мм", "мммм", "г", "гг", "гггг", "t", "tt", "jj", "jjjj", "aa", "aaaa", "pp", "kk", "vv", "vvvv", "rr", "rrrr", "åå", "åååå", "εεεε", "ηη", "μμ":
			look, foreign = look|shapeDate, true
		case "d", "dd", "yy", "yyyy", "mmm", "mmmm":
			look |= shapeDate
		case "ч", "чч", "с", "сс", "uu", "ωω", "λλ", "δδ":
			look, foreign = look|shapeTime, true
		case "h", "hh", "s", "ss":
			look |= shapeTime
		case "m", "mm": // of whichever it is among
		default:
			return 0, false
		}
	}
	return look, foreign
}

// Days of a workbook are counted from 1900 or 1904.
const (
	DayMillis = 86_400_000
	LastDay   = 2_958_465 // 9999-12-31, from 1900 on
)

// appendMoment writes the date or time that a number stands for, in ISO 8601. Without a look the number alone tells which it is. What
// is wrong is told as a reason.
func appendMoment(dst, number []byte, look shape, since04 bool) ([]byte, string) {
	v, err := strconv.ParseFloat(string(number), 64)
	last := float64(LastDay + 1)
	if since04 {
		last -= 1462
	}
	if err != nil || !(v >= 0 && v < last-0.5/DayMillis) {
		return dst, fault.Cut(number) + " is no date: days are counted from 0 to the year 9999"
	}
	day := math.Floor(v)
	millis := int64(math.Round((v - day) * DayMillis))
	if millis == DayMillis {
		day, millis = day+1, 0
	}
	if look == 0 || look == shapeEither {
		look = shapeOfNumber(day, millis)
	}
	if look&shapeDate == 0 && (look&shapeElapsed != 0 || day == 0) {
		return appendClock(dst, int64(day)*DayMillis+millis), ""
	}
	if look&shapeDate == 0 {
		look |= shapeDate // a time of day that has a day
	}
	if day == 0 && look&shapeTime != 0 && !since04 {
		return appendClock(dst, millis), ""
	}
	epoch := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)
	switch {
	case since04:
		epoch = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
	case day == 0:
		return dst, fault.Cut(number) + " is no date: days are counted from 1"
	case day == 60: // 1900 was no leap year, but Lotus 1-2-3 thought so
		return dst, "1900-02-29 is a day that never was"
	case day < 60:
		epoch = epoch.AddDate(0, 0, 1)
	}
	dst = epoch.AddDate(0, 0, int(day)).AppendFormat(dst, "2006-01-02")
	if look&shapeTime != 0 {
		dst = appendClock(append(dst, 'T'), millis)
	}
	return dst, ""
}

func shapeOfNumber(day float64, millis int64) shape {
	switch {
	case millis == 0 && day > 0:
		return shapeDate
	case day == 0:
		return shapeTime
	}
	return shapeDate | shapeTime
}

// appendClock writes 08:15:00, or with thousandths where there are any.
func appendClock(dst []byte, millis int64) []byte {
	two := func(n int64) {
		if n < 10 {
			dst = append(dst, '0')
		}
		dst = strconv.AppendInt(dst, n, 10)
	}
	s := millis / 1000
	two(s / 3600)
	dst = append(dst, ':')
	two(s / 60 % 60)
	dst = append(dst, ':')
	two(s % 60)
	if ms := millis % 1000; ms != 0 {
		dst = append(dst, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	}
	return dst
}

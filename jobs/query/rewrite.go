package query

import "strings"

// rewrite replaces :name by the dialect's places and returns the names in the order of their places. What stands in quotes
// or comments, and ::casts, are left alone.
//
//house:long one scan over the text of a query
func rewrite(query string, place func(n int) string) (string, []string) {
	var out strings.Builder
	var names []string
	for i := 0; i < len(query); {
		rest := query[i:]
		skip := 0
		switch {
		case strings.HasPrefix(rest, "--"):
			skip = until(rest, "\n", 2)
		case strings.HasPrefix(rest, "/*"):
			skip = until(rest, "*/", 2)
		case rest[0] == '\'' || rest[0] == '"' || rest[0] == '`':
			skip = until(rest, rest[:1], 1)
		case strings.HasPrefix(rest, "::"):
			skip = 2
		case rest[0] == ':' && len(rest) > 1 && letter(rest[1]):
			n := 2
			for n < len(rest) && (letter(rest[n]) || rest[n] >= '0' && rest[n] <= '9') {
				n++
			}
			out.WriteString(place(position(&names, rest[1:n])))
			i += n
			continue
		default:
			skip = 1
		}
		out.WriteString(rest[:skip])
		i += skip
	}
	return out.String(), names
}

// until is the length of rest up to and with the next end, searched from from.
func until(rest, end string, from int) int {
	if i := strings.Index(rest[from:], end); i >= 0 {
		return from + i + len(end)
	}
	return len(rest)
}

func letter(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' || b == '_' }

// position is the place of name, from 1; a name that comes again keeps its place.
func position(names *[]string, name string) int {
	for i, n := range *names {
		if n == name {
			return i + 1
		}
	}
	*names = append(*names, name)
	return len(*names)
}

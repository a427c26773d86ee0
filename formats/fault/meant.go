package fault

import (
	"fmt"
	"strings"
)

// Meant suggests the nearest of the candidates: `, did you mean "delimiter"?`, or nothing.
func Meant(word string, candidates []string) string {
	best, least := "", 1+max(1, len([]rune(word))/3)
	for _, c := range candidates {
		if d := distance(fold(word), fold(c)); d < least {
			best, least = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// fold makes words that people take for the same the same: case, spaces and punctuation are dropped.
func fold(s string) []rune {
	return []rune(strings.Map(func(r rune) rune {
		if strings.ContainsRune(" _-.\u00a0\u200b", r) {
			return -1
		}
		return r
	}, strings.ToLower(s)))
}

// distance counts the letters to insert, delete, change or swap with their neighbour to make b of a.
func distance(a, b []rune) int {
	if len(a) > 100 || len(b) > 100 {
		return max(len(a), len(b))
	}
	rows := make([][]int, len(a)+1) // rows[i][j]: from the first i letters of a to the first j of b
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

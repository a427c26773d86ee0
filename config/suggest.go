package config

import (
	"fmt"
	"strings"
)

// suggest says which of the known words was meant, or lists them when none is near.
func suggest(word string, known []string, what string) string {
	if near := nearest(word, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	const shown = 30
	if len(known) == 0 {
		return "there are no " + what
	}
	if len(known) > shown {
		return fmt.Sprintf("%s: %s and %d more", what, strings.Join(known[:shown], ", "), len(known)-shown)
	}
	return what + ": " + strings.Join(known, ", ")
}

// nearest finds the known word that differs least from word; "" when none is near.
func nearest(word string, known []string) string {
	best, limit := "", max(1, len([]rune(word))/3)+1
	for _, k := range known[:min(len(known), 1000)] { // bounds the time, not what anyone writes
		if d := distance(fold(word), fold(k)); d < limit {
			best, limit = k, d
		}
	}
	return best
}

func fold(word string) []rune {
	return []rune(strings.ReplaceAll(strings.ToLower(word), "-", "_"))
}

// distance counts the insertions, deletions, replacements and swaps of neighbours between two words.
func distance(a, b []rune) int {
	const longest = 64 // a longer word is nobody's typing mistake
	if len(a) > longest || len(b) > longest || len(a) > 2*len(b)+1 || len(b) > 2*len(a)+1 {
		return len(a) + len(b)
	}
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// Suggest says which of the known words was meant, or lists them when none is near.
func Suggest(word string, known []string, what string) string { return suggest(word, known, what) }

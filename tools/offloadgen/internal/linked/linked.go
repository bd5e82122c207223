// Package linked reads what the Go linker says of a program with -ldflags=-dumpdep: each
// symbol that can be reached, with one that refers to it. So it knows, through
// inlining, interfaces and code of others, which variables a program may use.
package linked

import (
	"bufio"
	"io"
	"slices"
	"strings"
	"unicode"
)

// A Tree has the symbols of a program, each with one by which the linker came to it.
type Tree map[string]string

// Read reads the linker's lines. It passes over others.
func Read(r io.Reader) (Tree, error) {
	t := Tree{}
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20) // names of generic types are long
	for s.Scan() {
		from, to, ok := strings.Cut(s.Text(), " -> ")
		if !ok || strings.HasPrefix(from, "#") {
			continue
		}
		from, to = plain(from), plain(to)
		if _, seen := t[to]; !seen && to != from {
			t[to] = from
		}
	}
	return t, s.Err()
}

func plain(symbol string) string {
	symbol, _, _ = strings.Cut(symbol, " <")
	return symbol
}

// Variable takes a symbol apart that may be a variable of a package: it has the name of one.
func Variable(symbol string) (pkg, name string, ok bool) {
	slash := strings.LastIndex(symbol, "/") + 1
	dot := strings.Index(symbol[slash:], ".")
	if dot < 0 {
		return "", "", false
	}
	pkg, name = symbol[:slash+dot], symbol[slash+dot+1:]
	for i, r := range name {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return "", "", false
		}
	}
	return strings.ReplaceAll(pkg, "%2e", "."), name, name != "" && pkg != "" && !strings.Contains(pkg, ":")
}

// Way returns the symbols by which the linker came to the one at to, that last.
func (t Tree) Way(to string) (way []string) {
	for at := to; at != "" && at != "_" && !slices.Contains(way, at); at = t[at] {
		way = append(way, at)
	}
	slices.Reverse(way)
	return way
}

// Both returns the symbols that are in t and in other, and in neither of the two that are
// taken away, in order.
func Both(t, other, less, otherLess Tree) (symbols []string) {
	for s := range t {
		_, in := other[s]
		_, base := less[s]
		_, otherBase := otherLess[s]
		if in && !base && !otherBase {
			symbols = append(symbols, s)
		}
	}
	slices.Sort(symbols)
	return symbols
}

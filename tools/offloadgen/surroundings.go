package main

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"
)

// A surrounding is what differs between a UE and an edge host, and by what functions,
// variables and constants of the standard library a program reads it.
type surrounding struct {
	names string
	says  string
	asked func(*ask) bool // the module asks for it; nil: it cannot
}

var surroundings = map[string][]surrounding{
	"runtime": {{"GOOS GOARCH NumCPU GOMAXPROCS GOROOT", "is that of the module: wasip1, wasm, one core", nil}},
	"os": {
		{"Getenv LookupEnv Environ ExpandEnv", "finds on an edge host what //offload:module env= asks for, and nothing else", func(a *ask) bool { return len(a.Env) > 0 }},
		{"Open OpenFile ReadFile ReadDir Stat Lstat DirFS Create WriteFile MkdirTemp CreateTemp", "finds on an edge host the folders that //offload:module folders= asks for, and nothing else", func(a *ask) bool { return len(a.Folders) > 0 }},
		{"Args Hostname Getpid Getwd UserHomeDir TempDir Executable Stdin", "is on an edge host not what it is on the UE", nil},
	},
	"flag":      {{"Parse Args Arg NArg Lookup", "sees no arguments on an edge host", nil}},
	"net":       {{"Dial DialTimeout Listen LookupHost LookupIP Interfaces", "fails on an edge host; package egress connects there", nil}},
	"net/http":  {{"Get Post Head DefaultClient DefaultTransport", "fails on an edge host; package egress connects there", nil}},
	"os/exec":   {{"Command CommandContext LookPath", "fails on an edge host", nil}},
	"os/signal": {{"Notify NotifyContext", "hears nothing on an edge host", nil}},
	"os/user":   {{"Current Lookup", "fails on an edge host", nil}},
}

// tellSurroundings tells of the surroundings that the guest's own code reads.
func (s *slice) tellSurroundings(bad *complaints) {
	for _, d := range s.all {
		if !s.kept[d] {
			continue
		}
		s.uses(d, func(id *ast.Ident, o types.Object) {
			if o.Pkg() == nil || o.Parent() != o.Pkg().Scope() {
				return
			}
			for _, r := range surroundings[o.Pkg().Path()] {
				if slices.Contains(strings.Fields(r.names), o.Name()) && (r.asked == nil || !r.asked(s.ask)) {
					s.told = append(s.told, fmt.Sprintf("%s: %s: %s.%s %s", bad.show(s.fset.Position(id.Pos())), s.chain(d), o.Pkg().Name(), o.Name(), r.says))
				}
			}
		})
	}
}

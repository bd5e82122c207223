package main

import (
	"fmt"
	"go/ast"
	"go/types"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// readsMark begins the lines of bungee_offload.go that name variables which the module reads and keeps as they were, and which code outside of
// the package can assign.
const readsMark = "//offload:reads "

// keptVariables returns those variables, by the linker's names: the package's own exported ones, and those of packages that it imports.
func (s *slice) keptVariables() []string {
	found := map[string]bool{}
	for _, d := range s.all {
		if !s.kept[d] {
			continue
		}
		s.uses(d, func(_ *ast.Ident, o types.Object) {
			v, ok := o.(*types.Var)
			if !ok || !v.Exported() || v.Pkg() == nil || v.Parent() != v.Pkg().Scope() || !s.assignable(v) {
				return
			}
			if symbol := symbolOf(v.Pkg().Path(), v.Name()); !s.crosses(symbol) {
				found[symbol] = true
			}
		})
	}
	return sortedNames(found)
}

// assignable says whether somebody may want to assign a variable, who does not answer for that. Nobody wants to assign an error that others compare with.
func (s *slice) assignable(v *types.Var) bool {
	if types.Identical(v.Type(), types.Universe.Lookup("error").Type()) {
		return false
	}
	if d := s.byObj[v]; d != nil {
		return !s.lines.fixed[d.node] && s.types.Name() != "main"
	}
	i := slices.IndexFunc(s.deps, func(p *listed) bool { return p.ImportPath == v.Pkg().Path() })
	return i >= 0 && !s.deps[i].Standard && !ourPackages.MatchString(v.Pkg().Path())
}

// unit is what go vet -vettool=offloadgen looks for in each package, with what it knows of those that the package imports. Other than vet it sees no initialisation,
// and no variable that a package below reads for the module.
var unit = &analysis.Analyzer{
	Name:      "offload",
	Doc:       "find code that changes variables which the modules of marked functions read and keep as they were",
	URL:       "https://pkg.go.dev/github.com/bungee-xr/bungee/tools/offloadgen",
	Run:       runUnit,
	FactTypes: []analysis.Fact{new(keeps), new(assigns)},
}

// keeps is known of a package with marks: the variables that its module reads.
type keeps struct{ Variables []string }

// assigns is known of a package that changes others' variables while the program runs.
type assigns struct {
	Changes []assignment
	Knew    []string // packages with marks that it imports, and so was told of
}

// An assignment is a place where a variable is changed.
type assignment struct{ Symbol, By, At string }

// AFact implements [analysis.Fact].
func (*keeps) AFact() {}

// AFact implements [analysis.Fact].
func (*assigns) AFact() {}

func (k *keeps) String() string   { return "keeps " + strings.Join(k.Variables, ", ") }
func (a *assigns) String() string { return fmt.Sprintf("changes %d variables", len(a.Changes)) }

// isUnit says whether the arguments are those of go vet -vettool (cmd/vendor/golang.org/x/tools/go/analysis/unitchecker).
func isUnit(args []string) bool {
	return len(args) > 0 && (args[0] == "-V=full" || args[0] == "-flags" || strings.HasSuffix(args[len(args)-1], ".cfg"))
}

func runUnit(pass *analysis.Pass) (any, error) {
	if first, _, _ := strings.Cut(pass.Pkg.Path(), "/"); !strings.Contains(first, ".") && pass.Pkg.Name() != "main" || ourPackages.MatchString(pass.Pkg.Path()) {
		return nil, nil // of the standard library, for which go vet asks, too
	}
	if v := keptIn(pass.Files); v != nil {
		pass.ExportPackageFact(&keeps{v})
	}
	readers, marked := map[string][]string{}, []string{}
	for _, f := range pass.AllPackageFacts() {
		if k, ok := f.Fact.(*keeps); ok && f.Package != pass.Pkg {
			marked = append(marked, f.Package.Path())
			for _, v := range k.Variables {
				readers[v] = append(readers[v], f.Package.Path())
			}
		}
	}
	own := assigns{Knew: marked}
	for _, f := range pass.Files {
		for sel, a := range assignments(pass, f) {
			own.Changes = append(own.Changes, a)
			for _, reader := range readers[a.Symbol] {
				pass.Reportf(sel.Pos(), "%s", a.complaint(reader))
			}
		}
	}
	if own.Changes != nil {
		slices.SortFunc(own.Changes, func(a, b assignment) int { return strings.Compare(a.At, b.At) })
		pass.ExportPackageFact(&own)
	}
	if pass.Pkg.Name() == "main" {
		reportApart(pass, readers)
	}
	return nil, nil
}

// keptIn returns the variables that generated files name.
func keptIn(files []*ast.File) (variables []string) {
	for _, f := range files {
		for _, g := range f.Comments {
			for _, c := range g.List {
				if v, ok := strings.CutPrefix(c.Text, readsMark); ok {
					variables = append(variables, v)
				}
			}
		}
	}
	return variables
}

// assignments returns the places in f where variables of other packages change once main has begun.
func assignments(pass *analysis.Pass, f *ast.File) map[*ast.SelectorExpr]assignment {
	found := map[*ast.SelectorExpr]assignment{}
	name := pass.Fset.Position(f.Pos()).Filename
	if strings.HasSuffix(name, "_test.go") {
		return found
	}
	names := map[string]string{}
	for _, p := range pass.Pkg.Imports() {
		names[p.Path()] = p.Name()
	}
	for _, d := range declarations(&file{name: name, ast: f}) {
		if d.initial() {
			continue
		}
		for sel, symbol := range assignedIn(d, names) {
			at := pass.Fset.Position(sel.Pos())
			found[sel] = assignment{symbol, d.label(), fmt.Sprintf("%s:%d", filepath.Base(at.Filename), at.Line)}
		}
	}
	return found
}

// reportApart reports of packages that change what the module of a package reads which they do not import: the program brings both together.
func reportApart(pass *analysis.Pass, readers map[string][]string) {
	for _, f := range pass.AllPackageFacts() {
		a, ok := f.Fact.(*assigns)
		if !ok || f.Package == pass.Pkg {
			continue
		}
		for _, c := range a.Changes {
			for _, reader := range readers[c.Symbol] {
				if reader != f.Package.Path() && !slices.Contains(a.Knew, reader) {
					pass.Reportf(pass.Files[0].Name.Pos(), "in package %s, at %s: %s", f.Package.Path(), c.At, c.complaint(reader))
				}
			}
		}
	}
}

// complaint says what is wrong with a change of what the module of package marked reads.
func (a assignment) complaint(marked string) string {
	name := a.Symbol[strings.LastIndex(a.Symbol, ".")+1:]
	return fmt.Sprintf("%s changes %s, which the module of %s reads and keeps as it was; make it a parameter, set it in an init function, or write carry=%s in the marks that read it", a.By, a.Symbol, marked, name)
}

// Package writes finds functions that change what they are given: the pixels of an image,
// the elements of a slice, the value behind a pointer. Natively their caller sees the
// change; on an edge host, which has a copy, it does not.
//
// The analysis follows values through one package. Of functions of other packages it knows
// those of the standard library that fill or sort what they get, and methods on pointers
// whose names say that they change something. So what it finds is there, but for
// values that are told apart only when the program runs, and it does not find everything.
package writes

import (
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/ssa"
)

// A Write is a place where a function changes what a parameter refers to.
type Write struct {
	Pos token.Pos
	// Param is the parameter's index, -1 for the receiver.
	Param int
}

// A Package finds the writes of the functions of one package.
type Package struct {
	prog  *ssa.Program
	funcs map[*ssa.Function]*summary
}

// New analyses a package that type-checks, with the full info of go/types. It belongs to
// one goroutine.
func New(fset *token.FileSet, pkg *types.Package, info *types.Info, files []*ast.File) *Package {
	prog := ssa.NewProgram(fset, 0)
	seen := map[*types.Package]bool{}
	var imports func(list []*types.Package)
	imports = func(list []*types.Package) {
		for _, p := range list {
			if !seen[p] {
				seen[p] = true
				prog.CreatePackage(p, nil, nil, true)
				imports(p.Imports())
			}
		}
	}
	imports(pkg.Imports())
	prog.CreatePackage(pkg, files, info, false).Build()
	return &Package{prog, map[*ssa.Function]*summary{}}
}

// Of returns the first write of fn through each parameter that it writes through.
func (p *Package) Of(fn *types.Func) (list []Write) {
	f := p.prog.FuncValue(fn)
	if f == nil {
		return nil
	}
	s := p.summary(f)
	for i := range f.Params {
		pos := s.first(bits(i).near | bits(i).deep)
		if !pos.IsValid() {
			continue
		}
		if fn.Signature().Recv() != nil {
			i--
		}
		list = append(list, Write{pos, i})
	}
	return list
}

// A mask is a set of parts of a function's parameters: each has a near part, what it
// directly points to, and a deep part, what that points to in turn.
type mask uint64

// maxParams is how many parameters a mask has room for; further ones are not followed.
const maxParams = 32

// A reach says what a value points to: near directly, deep by way of other pointers.
type reach struct{ near, deep mask }

func (r reach) all() mask { return r.near | r.deep }

func (r reach) with(o reach) reach { return reach{r.near | o.near, r.deep | o.deep} }

// bits returns the parts of parameter i.
func bits(i int) reach {
	if i >= maxParams {
		return reach{}
	}
	return reach{1 << (2 * i), 2 << (2 * i)}
}

// A summary is what is known of a function and of the literals in it.
type summary struct {
	fn      *ssa.Function
	values  map[ssa.Value]reach
	written map[token.Pos]mask
	result  reach // of all results together
	done    bool
}

// first returns the first place where a part of m is changed.
func (s *summary) first(m mask) (pos token.Pos) {
	for at, w := range s.written {
		if w&m != 0 && (!pos.IsValid() || at < pos) {
			pos = at
		}
	}
	return pos
}

// summary analyses f. Of a recursion the inner call is taken to change nothing.
func (p *Package) summary(f *ssa.Function) *summary {
	if s := p.funcs[f]; s != nil {
		return s
	}
	s := &summary{fn: f, values: map[ssa.Value]reach{}, written: map[token.Pos]mask{}}
	p.funcs[f] = s
	for i, param := range f.Params {
		if Refers(param.Type()) {
			s.values[param] = bits(i)
		}
	}
	for again := true; again; {
		w := &walk{Package: p, s: s}
		w.function(f)
		again = w.changed
	}
	s.done = true
	return s
}

// Refers says whether a value of t can refer to memory that others may change.
func Refers(t types.Type) bool { return refersIn(t, map[types.Type]bool{}) }

func refersIn(t types.Type, seen map[types.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return u.Kind() == types.UnsafePointer
	case *types.Array:
		return refersIn(u.Elem(), seen)
	case *types.Struct:
		for f := range u.Fields() {
			if refersIn(f.Type(), seen) {
				return true
			}
		}
		return false
	case *types.Tuple:
		for v := range u.Variables() {
			if refersIn(v.Type(), seen) {
				return true
			}
		}
		return false
	case *types.Interface:
		return !types.Identical(t, types.Universe.Lookup("error").Type())
	}
	return true
}

// leads says whether a value of from has, or refers to, one of type to, at any depth.
func leads(from, to types.Type, seen map[types.Type]bool) bool {
	if seen[from] {
		return false
	}
	seen[from] = true
	if types.Identical(from.Underlying(), to.Underlying()) {
		return true
	}
	switch u := from.Underlying().(type) {
	case *types.Basic:
		return u.Kind() == types.UnsafePointer
	case *types.Map:
		return leads(u.Key(), to, seen) || leads(u.Elem(), to, seen)
	case *types.Struct:
		for f := range u.Fields() {
			if leads(f.Type(), to, seen) {
				return true
			}
		}
		return false
	case interface{ Elem() types.Type }: // pointers, slices, arrays, channels
		return leads(u.Elem(), to, seen)
	}
	return true // behind an interface or a function may be anything
}

package main

import "go/ast"

// A use says what an expression does with a variable, as far as its form tells.
type use int

// The values of use. What is not known to be less is more.
const (
	reads   use = iota // looks at its value
	aliases            // hands its value on: what that refers to may be changed elsewhere
	changes            // assigns it or a part of it, takes its address, or calls a method on it
)

// readOnly are functions that change nothing they are given.
var readOnly = map[string]bool{"len": true, "cap": true, "print": true, "println": true, "min": true, "max": true, "real": true, "imag": true, "panic": true}

// readOnlyPackages have no function that changes what it is given, but for pointers
// that it is to fill.
var readOnlyPackages = map[string]bool{"fmt": true, "strings": true, "strconv": true, "errors": true, "math": true, "unicode": true, "utf8": true}

// writers are functions that change their first argument.
var writers = map[string]bool{"copy": true, "delete": true, "clear": true, "close": true}

// useOf returns what becomes of the innermost node of path, a variable.
func useOf(path []ast.Node) use {
	for i := len(path) - 1; i > 0; i-- {
		u, through := useIn(path[i-1], path[i], outer(path, i-2))
		if !through {
			return u
		}
	}
	return aliases
}

func outer(path []ast.Node, i int) ast.Node {
	if i < 0 {
		return nil
	}
	return path[i]
}

// useIn returns what parent does with its part x, or that parent stands for a part of x.
func useIn(parent, x, above ast.Node) (u use, through bool) {
	switch p := parent.(type) {
	case *ast.ParenExpr, *ast.StarExpr, *ast.SliceExpr, *ast.TypeAssertExpr:
		return reads, true
	case *ast.SelectorExpr:
		if call, ok := above.(*ast.CallExpr); ok && call.Fun == parent {
			return changes, false
		}
		return reads, true
	case *ast.IndexExpr:
		return reads, p.X == x
	case *ast.UnaryExpr:
		if s := p.Op.String(); s == "&" || s == "<-" {
			return changes, false
		}
	case *ast.IncDecStmt, *ast.SendStmt:
		return changes, false
	case *ast.AssignStmt:
		return useInAssignment(p, x), false
	case *ast.RangeStmt:
		if x == p.Key || x == p.Value {
			return changes, false
		}
	case *ast.CallExpr:
		return useInCall(p, x), false
	case *ast.ReturnStmt, *ast.CompositeLit, *ast.KeyValueExpr, *ast.ValueSpec:
		return aliases, false
	}
	return reads, false
}

func useInAssignment(a *ast.AssignStmt, x ast.Node) use {
	for _, l := range a.Lhs {
		if l == x {
			return changes
		}
	}
	return aliases
}

func useInCall(call *ast.CallExpr, x ast.Node) use {
	if call.Fun == x {
		return reads
	}
	switch f := call.Fun.(type) {
	case *ast.Ident:
		if readOnly[f.Name] {
			return reads
		}
		if writers[f.Name] && call.Args[0] == x {
			return changes
		}
	case *ast.SelectorExpr:
		if p, ok := f.X.(*ast.Ident); ok && readOnlyPackages[p.Name] {
			return reads
		}
	}
	return aliases
}

// walk calls f for each node in root with the path from root to it.
func walk(root ast.Node, f func(path []ast.Node)) {
	var path []ast.Node
	ast.Inspect(root, func(n ast.Node) bool {
		if n == nil {
			path = path[:len(path)-1]
			return true
		}
		path = append(path, n)
		f(path)
		return true
	})
}

// namedUses returns the most that d does with each variable, by its spelling.
func namedUses(d *decl) map[string]use {
	most := map[string]use{}
	walk(d.node, func(path []ast.Node) {
		if id, ok := path[len(path)-1].(*ast.Ident); ok && !declares(path) {
			most[id.Name] = max(most[id.Name], useOf(path))
		}
	})
	return most
}

// declares says whether the identifier at the end of path is no use of a variable: it is a
// name being declared, a field or a method.
func declares(path []ast.Node) bool {
	if len(path) < 2 {
		return true
	}
	id := path[len(path)-1]
	switch p := path[len(path)-2].(type) {
	case *ast.SelectorExpr:
		return p.Sel == id
	case *ast.ValueSpec:
		for _, n := range p.Names {
			if n == id {
				return true
			}
		}
	case *ast.Field, *ast.FuncDecl, *ast.TypeSpec:
		return true
	}
	return false
}

package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/types"
	"io"
	"os"
	"strings"
)

// ourPath is the path of our module.
const ourPath = "github.com/bungee-xr/bungee"

// The packages that generated code imports.
const (
	offloadPath = "github.com/bungee-xr/bungee/offload"
	codegenPath = "github.com/bungee-xr/bungee/offload/codegen"
	packPath    = "github.com/bungee-xr/bungee/offload/pack"
	guestPath   = "github.com/bungee-xr/bungee/offload/guest"
	elasticPath = "github.com/bungee-xr/bungee/elastic" // not in guests
)

// A checked package has its types, as far as they can be known: what does not
// type-check is in errs, and matters only where the guest reaches it.
type checked struct {
	*source
	path   string // import path
	types  *types.Package
	info   *types.Info
	errs   []types.Error
	deps   []*listed          // what the guest may link, dependencies included
	broken map[string]*listed // imports that do not build for Wasm
	first  *initial
	imp    types.Importer
	lines  *directives
}

// check type-checks the package's files for Wasm. Only imports that the marks
// and the initialisation of what they reach may need are built, so a package that no guest could import costs nothing.
func check(g goCmd, s *source, marks []*mark, lines *directives) (*checked, error) {
	c := &checked{source: s, broken: map[string]*listed{}, lines: lines}
	names, err := c.importNames(g)
	if err != nil {
		return nil, err
	}
	var need []string
	if c.first, need, err = findInitial(g, c.path, s, marks, names, lines); err != nil {
		return nil, err
	}
	c.deps, err = g.list(append([]string{"-export", "-deps", "-trimpath", offloadPath, codegenPath, packPath, guestPath}, need...)...)
	if err != nil {
		return nil, err
	}
	exports := map[string]*listed{}
	for _, p := range c.deps {
		exports[p.ImportPath] = p
	}
	for _, p := range []string{offloadPath, codegenPath, packPath, guestPath} {
		if d := exports[p]; d == nil || d.Export == "" {
			return nil, fmt.Errorf("%s: generated code imports %s, which does not build: %s; run: go get -tool github.com/bungee-xr/bungee/tools/offloadgen%s", s.dir, p, exports[p].trouble(), andVendor(exports[p].trouble()))
		}
	}
	for _, p := range need {
		if d := exports[p]; d != nil && d.Export == "" && p != "unsafe" {
			c.broken[p] = d
		}
	}
	c.typeCheck(marks, names, exports)
	return c, nil
}

// andVendor returns what to run besides where the go command looks into vendor/ only.
func andVendor(trouble string) string {
	if strings.Contains(trouble, "-mod=vendor") {
		return " && go mod vendor"
	}
	return ""
}

// importNames returns the package names of all that the guest's files import,
// by import path, and sets the path of the package itself.
func (c *checked) importNames(g goCmd) (map[string]string, error) {
	args := []string{"-find", "."}
	seen := map[string]bool{"C": true}
	for _, f := range c.files {
		for _, i := range f.ast.Imports {
			if p := importPath(i); f.guest && !seen[p] {
				seen[p] = true
				args = append(args, p)
			}
		}
	}
	all, err := g.list(args...)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, p := range all {
		names[p.ImportPath] = p.Name
	}
	if len(all) == 0 || all[0].Module == nil {
		return nil, fmt.Errorf("%s is in no module; run: go mod init", c.dir)
	}
	c.path = all[0].ImportPath
	return names, nil
}

var errNotBuilt = errors.New("not built for Wasm")

// An importFunc imports a package.
type importFunc func(path string) (*types.Package, error)

func (f importFunc) Import(path string) (*types.Package, error) { return f(path) }

func (c *checked) typeCheck(marks []*mark, names map[string]string, exports map[string]*listed) {
	gc := importer.ForCompiler(c.fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path].Export)
	})
	c.info = &types.Info{
		Uses:      map[*ast.Ident]types.Object{},
		Defs:      map[*ast.Ident]types.Object{},
		Implicits: map[ast.Node]types.Object{},
	}
	c.imp = importFunc(func(path string) (*types.Package, error) {
		if p := exports[path]; path == "unsafe" || p != nil && p.Export != "" {
			return gc.Import(path)
		}
		return types.NewPackage(path, names[path]), errNotBuilt
	})
	conf := types.Config{
		Sizes:    types.SizesFor("gc", "wasm"),
		Error:    func(err error) { c.errs = append(c.errs, err.(types.Error)) },
		Importer: c.imp,
	}
	var files []*ast.File
	for _, f := range c.files {
		if f.guest {
			files = append(files, f.ast)
		}
	}
	files = append(files, elasticStubs(c.source, marks)...)
	c.types, _ = conf.Check(c.path, c.fset, files, c.info) // its errors are in errs
}

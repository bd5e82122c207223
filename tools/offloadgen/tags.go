package main

import (
	"fmt"
	"go/ast"
	"go/build/constraint"
	"regexp"
	"slices"
	"strings"
)

// guardPrefix begins the names of the files that do not compile when a tag is given
// natively with which the module was not made, or the other way round.
const guardPrefix = "bungee_offload_tag_"

// goTags are the tags that the go command sets.
var goTags = regexp.MustCompile(`^(aix|android|darwin|dragonfly|freebsd|hurd|illumos|ios|js|linux|nacl|netbsd|openbsd|plan9|solaris|wasip1|windows|zos|unix|` +
	`386|amd64|arm|arm64|loong64|mips|mipsle|mips64|mips64le|ppc64|ppc64le|riscv64|s390x|sparc64|wasm|` +
	`cgo|gc|gccgo|race|msan|asan|purego|ignore|boringcrypto|(go|goexperiment\.|amd64\.|arm64\.|wasm\.)[\w.]+)$`)

// tagsIn returns the developer's own tags in the build constraint of f.
func tagsIn(f *file) (tags []string) {
	x := buildConstraint(f.ast)
	if x == nil {
		return nil
	}
	var find func(x constraint.Expr)
	find = func(x constraint.Expr) {
		switch x := x.(type) {
		case *constraint.AndExpr:
			find(x.X)
			find(x.Y)
		case *constraint.OrExpr:
			find(x.X)
			find(x.Y)
		case *constraint.NotExpr:
			find(x.X)
		case *constraint.TagExpr:
			if !goTags.MatchString(x.Tag) {
				tags = append(tags, x.Tag)
			}
		}
	}
	find(x)
	return tags
}

// tags returns the developer's tags that decide what the guest is made of: those of the
// files of what it has, and of the files that have, with other tags, another version of
// that, a method of its types, or an init function.
func (s *slice) tags() []string {
	kept, types, vars, found := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, d := range s.all {
		if !s.kept[d] {
			continue
		}
		kept[d.key()] = true
		switch n := d.node.(type) {
		case *ast.TypeSpec:
			types[n.Name.Name] = true
		case *ast.ValueSpec:
			for _, id := range n.Names {
				vars[id.Name] = true
			}
		}
	}
	for _, f := range s.files {
		own := tagsIn(f)
		if own == nil || f.ast.Name.Name != s.types.Name() || namesWasm(f.name, f.ast) && !f.guest {
			continue
		}
		for _, d := range declarations(f) {
			same := kept[d.key()] && d.key() != "init" && d.key() != "_"
			if same || types[d.recv] || d.initial() && maySet(d, vars) {
				for _, t := range own {
					found[t] = true
				}
			}
		}
	}
	return sortedNames(found)
}

// maySet says whether d, which runs before main, may change one of the variables.
func maySet(d *decl, vars map[string]bool) bool {
	for name, u := range namedUses(d) {
		if u != reads && vars[name] {
			return true
		}
	}
	return false
}

func sortedNames(m map[string]bool) (names []string) {
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// guards returns the files that do not compile, natively, with other tags than those that
// the module was made with.
func (s *slice) guards() map[string][]byte {
	files := map[string][]byte{}
	for _, tag := range s.tags() {
		given := slices.Contains(s.given, tag)
		build, was, cure := tag, "without", slices.Concat(s.given, []string{tag})
		if given {
			build, was = "!"+tag, "with"
			cure = slices.DeleteFunc(slices.Clone(s.given), func(t string) bool { return t == tag })
		}
		run := "go tool offloadgen"
		if len(cure) > 0 {
			run += " -tags=" + strings.Join(cure, ",")
		}
		files[guardPrefix+strings.ReplaceAll(tag, ".", "_")+".go"] = fmt.Appendf(nil, `%s

//go:build %s && !wasip1

package %s

// If this does not compile, the module was made %[4]s the tag %[5]s, which decides what is in
// it, and this build is not.
var _ int = "the Wasm module was made %[4]s -tags=%[5]s; to have it so, too, run: %[6]s"
`, header, build, s.types.Name(), was, tag, run)
	}
	return files
}

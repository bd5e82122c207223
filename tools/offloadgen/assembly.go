package main

import (
	"fmt"
	"slices"
	"strings"
)

// inAssembly returns those of the packages that have assembly natively. That of the standard library gives what its Go does, and
// golang.org/x/sys computes nothing.
func inAssembly(native []*listed) (paths []string) {
	for _, p := range native {
		if len(p.SFiles) > 0 && !p.Standard && !ourPackages.MatchString(p.ImportPath) && !strings.HasPrefix(p.ImportPath, "golang.org/x/sys/") {
			paths = append(paths, p.ImportPath)
		}
	}
	return paths
}

// tellAssembly tells of packages that compute in assembly natively and in Go in the guest: assembly adds in another order, rounds less often,
// or makes another one of several encodings. Whose marks all have ulp= knows.
func (s *slice) tellAssembly(bad *complaints) {
	i := slices.IndexFunc(s.marks, func(m *mark) bool { return m.ulp == 0 })
	var linked []string
	for _, p := range s.deps {
		if slices.Contains(s.first.assembly, p.ImportPath) {
			linked = append(linked, p.ImportPath)
		}
	}
	if linked == nil || i < 0 {
		return
	}
	m := s.marks[i]
	s.told = append(s.told, fmt.Sprintf("%s: %s: natively these packages compute in assembly, and in the module in Go: %s; results may differ where those do, in the last bits of floating-point numbers (ulp=N in a mark allows for that), or in which of several encodings they choose; the generated test compares them",
		bad.show(s.fset.Position(m.pos)), m.name, strings.Join(linked, ", ")))
}

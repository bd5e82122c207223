package deps

import (
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A row of the table of levels: a folder, and who its packages may import.
type row struct {
	folder  string
	level   int
	ours    []string // folders of other rows
	any     bool     // all rows of lower levels
	outside []string // parts of import paths
}

// tableFile is where the levels are written down.
const tableFile = "../../docs/architecture.md"

var (
	tableRow = regexp.MustCompile("(?m)^\\| (\\d+) \\| `([^`]+)` \\| [^|]+ \\| ([^|]+) \\| ([^|]+) \\|$")
	quoted   = regexp.MustCompile("`([^`]+)`")
)

// rows reads the table of levels, by folder.
func rows(t *testing.T) map[string]row {
	t.Helper()
	text, err := os.ReadFile(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]row{}
	for _, m := range tableRow.FindAllStringSubmatch(string(text), -1) {
		r := row{folder: m[2], any: m[3] == "any"}
		r.level, _ = strconv.Atoi(m[1])
		for _, q := range quoted.FindAllStringSubmatch(m[3], -1) {
			r.ours = append(r.ours, q[1])
		}
		if m[4] != "-" {
			r.outside = strings.Split(m[4], ", ")
		}
		if _, twice := all[r.folder]; twice {
			t.Errorf("%s has two rows in the table of levels", r.folder)
		}
		all[r.folder] = r
	}
	if lines := strings.Count(string(text), "\n| ") - 1; len(all) != lines { // but for its head
		t.Fatalf("%s has %d rows that say level, package, what it owns, imports of ours and outside; and %d lines of a table", tableFile, len(all), lines)
	}
	return all
}

// rowOf returns the row of one of our packages: that of the longest folder.
func rowOf(all map[string]row, pkg string) (row, bool) {
	for name := strings.TrimPrefix(pkg, ours); name != "."; name = path.Dir(name) {
		if r, ok := all[name]; ok {
			return r, true
		}
	}
	return row{}, false
}

// Packages import only what the table of levels lets them, and each row has a package.
func TestArrowsPointDown(t *testing.T) {
	all, used := rows(t), map[string]bool{}
	for _, p := range list(t, "-tags", "opencv", "./...") {
		r, ok := rowOf(all, p.ImportPath)
		if !ok {
			t.Errorf("%s has no level: give it a row in %s", p.ImportPath, tableFile)
			continue
		}
		used[r.folder] = true
		for _, imp := range p.Imports {
			if why := r.refuses(all, imp); why != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imp, why)
			}
		}
	}
	for folder, r := range all {
		if !used[folder] {
			t.Errorf("%s has a row in %s and no package", folder, tableFile)
		}
		for _, name := range r.ours {
			if to, ok := all[name]; !ok || to.level >= r.level {
				t.Errorf("the row of %s names %s, which has no row of a lower level", folder, name)
			}
		}
	}
}

// refuses says why a package of r may not import imp, "" when it may.
func (r row) refuses(all map[string]row, imp string) string {
	if !strings.HasPrefix(imp, ours) {
		named := func(name string) bool { return strings.Contains(imp, name) }
		if standard := !strings.Contains(strings.SplitN(imp, "/", 2)[0], "."); standard || slices.ContainsFunc(r.outside, named) {
			return ""
		}
		return "the row of " + r.folder + " names no such import from outside"
	}
	to, _ := rowOf(all, imp)
	switch {
	case to.folder == r.folder:
		return ""
	case to.level >= r.level:
		return fmt.Sprintf("%s is on level %d, %s on level %d", to.folder, to.level, r.folder, r.level)
	case !r.any && !slices.Contains(r.ours, to.folder):
		return "the row of " + r.folder + " does not name " + to.folder
	}
	return ""
}

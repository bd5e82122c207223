package readme

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	headings   = regexp.MustCompile(`(?m)^#{1,6} +(.+)$`)
	linked     = regexp.MustCompile(`\]\(([^)\s]*)\)|<(?:img|a) [^>]*?(?:src|href)="([^"]*)"`)
	inline     = regexp.MustCompile("`[^`\n]*`")
	linkInside = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// pages returns all documents of the repository, by their paths in it: those in docs and in
// folders there, and those beside README.md.
func pages(t *testing.T) (names []string) {
	t.Helper()
	top, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range top {
		names = append(names, filepath.Base(name))
	}
	err = fs.WalkDir(os.DirFS(root), "docs", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir // the site's tools
		case path.Ext(name) == ".md":
			names = append(names, name)
		}
		return nil
	})
	if err != nil || len(names) < 20 {
		t.Fatalf("%d documents, %v", len(names), err)
	}
	return names
}

// anchorsOf returns the anchors that GitHub gives the headings of a document.
func anchorsOf(text string) (all []string) {
	for _, m := range headings.FindAllStringSubmatch(fenced.ReplaceAllStringFunc(text, blank), -1) {
		all = append(all, anchor(m[1], all))
	}
	return all
}

// anchor returns that of a heading which comes after those of before: letters, digits, dashes and
// underscores in lower case, dashes for blanks, and a number where there is one already.
func anchor(heading string, before []string) string {
	a := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(linkInside.ReplaceAllString(heading, "$1")))
	unique := a
	for n := 1; slices.Contains(before, unique); n++ {
		unique = fmt.Sprintf("%s-%d", a, n)
	}
	return unique
}

func TestAnchor(t *testing.T) {
	for _, tt := range []struct{ heading, want string }{
		{"A channel", "a-channel"},
		{"Why does a lease's memory bound an instance?", "why-does-a-leases-memory-bound-an-instance"},
		{"`bungee host`, and [its file](x.md#y)", "bungee-host-and-its-file"},
		{"snake_case -- twice", "snake_case----twice"},
		{"A channel", "a-channel-1"},
	} {
		before := []string{}
		if strings.HasSuffix(tt.want, "-1") {
			before = []string{"a-channel"}
		}
		if got := anchor(tt.heading, before); got != tt.want {
			t.Errorf("the anchor of %q is %q; want %q", tt.heading, got, tt.want)
		}
	}
}

// Each link in a document leads to a file that is there, and to an anchor in it. Links to
// other servers are not followed: a test does not depend on them.
func TestLinksLeadSomewhere(t *testing.T) {
	anchors := map[string][]string{}
	text := map[string]string{}
	for _, name := range pages(t) {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		text[name], anchors[name] = string(b), anchorsOf(string(b))
	}
	for _, name := range pages(t) {
		prose := inline.ReplaceAllString(fenced.ReplaceAllStringFunc(text[name], blank), "")
		for n, line := range strings.Split(prose, "\n") {
			for _, m := range linked.FindAllStringSubmatch(line, -1) {
				link := m[1] + m[2] // one of Markdown, or of HTML
				if problem := follow(name, link, anchors); problem != "" {
					t.Errorf("%s:%d: the link to %s leads nowhere: %s", name, n+1, link, problem)
				}
			}
		}
	}
}

// follow says what is wrong with a link from a document, if anything is.
func follow(from, link string, anchors map[string][]string) string {
	if strings.Contains(link, ":") {
		return ""
	}
	file, fragment, _ := strings.Cut(link, "#")
	target := from
	if file != "" {
		target = path.Join(path.Dir(from), file)
	}
	if !exists(target) {
		return "there is no file " + target
	}
	if fragment != "" && !slices.Contains(anchors[target], fragment) {
		return "there is no heading #" + fragment + " in " + target
	}
	return ""
}

func TestFollow(t *testing.T) {
	anchors := map[string][]string{"docs/abi.md": {"exports"}, "docs/concepts/module.md": {"what"}}
	for _, tt := range []struct {
		link string
		ok   bool
	}{
		{"../abi.md#exports", true}, {"../abi.md", true}, {"#what", true}, {"https://example.com/x#y", true}, {"../../LICENSE", true},
		{"../abi.md#imports", false}, {"abi.md", false}, {"#exports", false},
	} {
		if problem := follow("docs/concepts/module.md", tt.link, anchors); (problem == "") != tt.ok {
			t.Errorf("%s: %q; want it to lead somewhere: %t", tt.link, problem, tt.ok)
		}
	}
}

// Who reads the start page finds each page of docs by it.
func TestIndexNamesEachPage(t *testing.T) {
	index, err := os.ReadFile(filepath.Join(root, "docs", "index.md"))
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(root, "docs", ".vitepress", "config.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range pages(t) {
		inDocs, ok := strings.CutPrefix(name, "docs/")
		if !ok || inDocs == "index.md" {
			continue
		}
		if !strings.Contains(string(index), "("+inDocs+")") {
			t.Errorf("docs/index.md does not link to %s", inDocs)
		}
		if !strings.Contains(string(config), "'"+strings.TrimSuffix(inDocs, ".md")+"'") {
			t.Errorf("the sidebar in docs/.vitepress/config.mjs lacks %s", inDocs)
		}
	}
}

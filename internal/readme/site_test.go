package readme

import (
	"html"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	leads = regexp.MustCompile(`\s(?:href|src)="([^"]*)"`)
	ids   = regexp.MustCompile(`\sid="([^"]*)"`)
)

// Each link and each picture of the site is there, and what leads to the repository leads to one of its files.
func TestSite(t *testing.T) {
	dir := os.Getenv("BUNGEE_SITE")
	if dir == "" {
		t.Skip("BUNGEE_SITE does not say where the site is; run: make site, which runs this test")
	}
	site := os.DirFS(dir)
	pages, anchors := map[string]string{}, map[string]bool{}
	err := fs.WalkDir(site, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".html" {
			return err
		}
		b, err := fs.ReadFile(site, name)
		pages[name] = string(b)
		for _, m := range ids.FindAllStringSubmatch(string(b), -1) {
			anchors[name+"#"+html.UnescapeString(m[1])] = true
		}
		return err
	})
	if err != nil || len(pages) < 20 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	links := 0
	for name, text := range pages {
		for _, m := range leads.FindAllStringSubmatch(text, -1) {
			links++
			if problem := followSite(site, anchors, name, html.UnescapeString(m[1])); problem != "" {
				t.Errorf("%s leads to %s: %s", name, m[1], problem)
			}
		}
	}
	t.Logf("%d links of %d pages", links, len(pages))
}

// followSite says what is wrong with a link of the site, if anything is.
func followSite(site fs.FS, anchors map[string]bool, from, link string) string {
	if file, ok := strings.CutPrefix(link, "https://github.com/bungee-xr/bungee/blob/main/"); ok {
		file, _, _ = strings.Cut(file, "#")
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(file))); err != nil {
			return "the repository has no such file"
		}
		return ""
	}
	u, err := url.Parse(link)
	switch {
	case err != nil:
		return err.Error()
	case u.Scheme != "":
		return "" // a test does not depend on other servers
	}
	target := strings.TrimPrefix(path.Join("/", path.Dir(from), u.Path), "/")
	switch {
	case strings.HasPrefix(u.Path, "/"):
		target = strings.TrimPrefix(u.Path, "/")
	case u.Path == "":
		target = from
	}
	if target == "" || strings.HasSuffix(target, "/") {
		target += "index.html"
	}
	if _, err := fs.Stat(site, target); err != nil {
		return "the site has no such file"
	}
	if u.Fragment != "" && !anchors[target+"#"+u.Fragment] {
		return "there is nothing with that name"
	}
	return ""
}

func TestFollowSite(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"index.html", "abi.html"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	anchors := map[string]bool{"abi.html#exports": true}
	for _, tt := range []struct {
		link string
		ok   bool
	}{
		{"/", true}, {"/abi.html", true}, {"./abi.html#exports", true}, {"../abi.html", false}, {"https://example.com/", true},
		{"https://github.com/bungee-xr/bungee/blob/main/LICENSE", true}, {"https://github.com/bungee-xr/bungee/blob/main/no", false},
		{"/abi.html#imports", false}, {"/no.html", false}, {"/assets/no.png", false}, {"#exports", false},
	} {
		from := "concepts/module.html"
		if strings.HasPrefix(tt.link, ".") {
			from = "index.html"
		}
		if tt.link == "../abi.html" {
			from = "concepts/deep/module.html"
		}
		if problem := followSite(os.DirFS(dir), anchors, from, tt.link); (problem == "") != tt.ok {
			t.Errorf("following %s from %s says %q", tt.link, from, problem)
		}
	}
}

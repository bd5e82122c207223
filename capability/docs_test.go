package capability

import (
	"crypto/sha256"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestDocs reads the examples of docs/policy.md, and looks for all keys there.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string) string {
		m := regexp.MustCompile("(?s)```" + kind + "\n(.*?)```").FindSubmatch(text)
		if m == nil {
			t.Fatalf("no example in %s", kind)
		}
		return string(m[1])
	}
	m, err := parseManifest([]byte(block("json")))
	if err != nil {
		t.Error(err)
	}
	p, err := ParsePolicy("edge.toml", []byte(block("toml")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.For("acme-7").Grant(m); err != nil {
		t.Errorf("the policy of the document does not grant its manifest: %v", err)
	}
	doc := string(text)
	if _, err := p.For("acme-7").Grant(Manifest{Connect: []string{"api.example.com:443"}}); err == nil || !strings.Contains(doc, err.Error()) {
		t.Errorf("docs/policy.md has another refusal than\n%v", err)
	}
	blocks := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(doc, -1)
	listed, err := ParsePolicy("edge.toml", []byte(blocks[len(blocks)-1][1]))
	if err != nil {
		t.Fatal(err)
	}
	if err := listed.For("beta").Runs(sha256.Sum256([]byte("another module"))); err == nil || !strings.Contains(doc, err.Error()) {
		t.Errorf("docs/policy.md has another refusal of a module than\n%v", err)
	}
	if err := listed.For("acme").Runs(sha256.Sum256([]byte("a module"))); err != nil {
		t.Errorf("the list of docs/policy.md: %v", err)
	}
	for key := range new(table).fields() {
		group, name, nested := strings.Cut(key, ".")
		if !strings.Contains(doc, "`"+key+"`") && !(nested && strings.Contains(doc, "`"+group+".memory`") && strings.Contains(doc, "`."+name+"`")) {
			t.Errorf("docs/policy.md does not tell of %s", key)
		}
	}
	for i := range reflect.TypeFor[Manifest]().NumField() {
		tag, _, _ := strings.Cut(reflect.TypeFor[Manifest]().Field(i).Tag.Get("json"), ",")
		if !strings.Contains(doc, `"`+tag+`"`) {
			t.Errorf("docs/policy.md does not tell of %s", tag)
		}
	}
}

package linked

import (
	"slices"
	"strings"
	"testing"
)

const dump = `# example.com/app
_ -> main.main
main.main -> image.Decode
image.Decode -> image.sniff
image.sniff -> image.atomicFormats
image.sniff -> sync/atomic.(*Value).Load
main.main -> type:*errors.errorString <UsedInIface>
type:*errors.errorString <UsedInIface> -> errors.(*errorString).Error
`

func TestRead(t *testing.T) {
	tree, err := Read(strings.NewReader(dump))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"main.main", "image.Decode", "image.sniff", "image.atomicFormats"}
	if got := tree.Way("image.atomicFormats"); !slices.Equal(got, want) {
		t.Errorf("the way to image.atomicFormats is %q; want %q", got, want)
	}
	if got := tree.Way("errors.(*errorString).Error"); len(got) != 3 {
		t.Errorf("the way to a method is %q; want it by way of its type and main.main", got)
	}
	other := Tree{"image.atomicFormats": "", "image.Decode": "", "other.x": ""}
	if got := Both(tree, other, Tree{"image.Decode": ""}, Tree{}); !slices.Equal(got, []string{"image.atomicFormats"}) {
		t.Errorf("in both are %q; want image.atomicFormats", got)
	}
}

func TestVariable(t *testing.T) {
	tests := []struct {
		symbol, pkg, name string
		ok                bool
	}{
		{"image.atomicFormats", "image", "atomicFormats", true},
		{"example.com/a/b.x_1", "example.com/a/b", "x_1", true},
		{"gopkg.in/yaml%2ev3.table", "gopkg.in/yaml.v3", "table", true},
		{"image.Decode.arginfo1", "", "", false},
		{"sync/atomic.(*Value).Load", "", "", false},
		{"type:*errors.errorString", "", "", false},
		{"image..stmp_1", "", "", false},
		{"runtime", "", "", false},
	}
	for _, tt := range tests {
		pkg, name, ok := Variable(tt.symbol)
		if ok != tt.ok || ok && (pkg != tt.pkg || name != tt.name) {
			t.Errorf("%s is %q, %q, %t; want %q, %q, %t", tt.symbol, pkg, name, ok, tt.pkg, tt.name, tt.ok)
		}
	}
}

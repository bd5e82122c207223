package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnit has go vet look at programs that change what modules read: where they do so themselves, where a package does so that knows
// nothing of the module, and where nobody does.
func TestUnit(t *testing.T) {
	long(t)
	tool := filepath.Join(t.TempDir(), "offloadgen") // before the go command works for a consumer
	build := exec.Command("go", "build", "-o", tool, ".")
	build.Env = append(os.Environ(), "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c := newConsumer(t, light, `
-- below/below.go --
package below

var Depth, Other = 1, 1
-- lib/lib.go --
package lib

import "example.com/app/below"

var Threshold, Unused, Limit = 3, 1, 1

//offload:constant
var Scale = 2

//offload:func carry=Limit
func over(n int) bool { return n*Scale > Threshold+Limit*below.Depth }
-- helper/helper.go --
package helper

import "example.com/app/below"

func Deepen() { below.Depth++ }
-- user/user.go --
package user

import "example.com/app/lib"

func Raise() { lib.Threshold = 5 }
-- cmd/app/main.go --
package main

import (
	"context"
	"fmt"

	"example.com/app/below"
	"example.com/app/helper"
	"example.com/app/lib"
	"example.com/app/user"
)

func main() {
	helper.Deepen()
	user.Raise()
	lib.Unused, lib.Limit, lib.Scale, below.Other = 2, 2, 2, 2
	fmt.Println(lib.Over(context.Background(), 3))
}
-- cmd/good/main.go --
package main

import (
	"context"
	"fmt"

	"example.com/app/lib"
)

func init() { lib.Threshold = 4 }

func main() { fmt.Println(lib.Over(context.Background(), 3)) }
-- lib/lib_test.go --
package lib_test

import (
	"testing"

	"example.com/app/lib"
)

func Test(t *testing.T) { lib.Threshold = 1 }
`)
	if said, status := (consumer{filepath.Join(c.dir, "lib")}).offloadgen(); status != 0 {
		t.Fatalf("exit status %d\n%s", status, said)
	}
	vet := func(packages string) (string, error) {
		cmd := exec.Command("go", "vet", "-vettool="+tool, packages)
		cmd.Dir = c.dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, fine := range []string{"./cmd/good", "./lib", "./helper"} {
		if said, err := vet(fine); err != nil {
			t.Errorf("%s: %v\n%s", fine, err, said)
		}
	}
	said, err := vet("./...")
	want := []string{
		"user/user.go:5:16: Raise changes example.com/app/lib.Threshold, which the module of example.com/app/lib reads and keeps as it was",
		"cmd/app/main.go:1:9: in package example.com/app/helper, at helper.go:5: Deepen changes example.com/app/below.Depth, which the module of example.com/app/lib reads",
	}
	for _, w := range want {
		if err == nil || !strings.Contains(said, w) {
			t.Errorf("go vet ./...: %v\n%s\nwant %q", err, said, w)
		}
	}
	if n := strings.Count(said, "keeps as it was"); n != len(want) {
		t.Errorf("%d complaints, want %d:\n%s", n, len(want), said)
	}
}

package main

import (
	"strings"
	"testing"
)

// TestGeneratedTest runs the test that is generated, on functions that are alike and on
// some which no analysis of the sources sees to be otherwise.
func TestGeneratedTest(t *testing.T) {
	long(t)
	c := newConsumer(t, whole, get(t, "testdata/run/tested.txtar"))
	if said, status := c.offloadgen(); status != 0 {
		t.Fatalf("exit status %d\n%s", status, said)
	}
	out, ok := c.goRun(t, "test", "-run", "TestBungeeOffload/(alike|rounded|waits|summed|Shape.blurred|spread)$", ".")
	if !ok {
		t.Errorf("functions that are alike fail:\n%s", out)
	}
	out, _ = c.goRun(t, "test", "-v", ".")
	for _, want := range []string{
		"--- PASS: TestBungeeOffload/alike",
		"changesThrough",
		"has its parameter n changed: ",
		"--- PASS: TestBungeeOffload/Shape.blurred",
		"--- FAIL: TestBungeeOffload/wrongly",
		"and the parameters ([119 ",
		"--- FAIL: TestBungeeOffload/platform",
		"natively linux, in the module wasip1",
		"--- FAIL: TestBungeeOffload/restless",
		"Handle depends on more than state and message",
		"--- PASS: TestBungeeOffload/waits",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the generated test does not say %q:\n%s", want, out)
		}
	}
	c.change(t, "dep/dep.go", "return 1", "return 2")
	c.change(t, "app.go", "// alike", "// Alike")
	out, ok = c.goRun(t, "test", "-run", "TestBungeeOffload/alike$", ".")
	for _, want := range []string{"dep/dep.go has changed since the module was made; run: go generate", "app.go has changed since"} {
		if ok || !strings.Contains(out, want) {
			t.Errorf("after a change of sources the test passes (%t), or does not say %q:\n%s", ok, want, out)
		}
	}
}

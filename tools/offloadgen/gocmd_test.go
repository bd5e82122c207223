package main

import "testing"

// What the go command says of a package becomes a line that a sentence can have in it.
func TestTrouble(t *testing.T) {
	for said, want := range map[string]string{
		"# example.com/app\napp.go:3:8: no required module provides package example.com/lib":                   "app.go:3:8: no required module provides package example.com/lib",
		"missing go.sum entry for module providing package example.com/lib; to add:\n\tgo get example.com/app": "missing go.sum entry for module providing package example.com/lib",
		"": "",
	} {
		p := &listed{}
		p.Error = &struct{ Err string }{said}
		if got := p.trouble(); got != want {
			t.Errorf("of %q: got %q, want %q", said, got, want)
		}
	}
	if got := (*listed)(nil).trouble(); got != "no reason given" {
		t.Errorf("of a package that is not listed: %q", got)
	}
}

package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bungee-xr/bungee/examples/internal/edgetest"
	"github.com/bungee-xr/bungee/offload"
)

// queries are those of the tests, and the titles that each finds.
var queries = []struct {
	why    string
	q      Query
	titles []string
}{
	{"the note with more of it comes first", Query{Words: []string{"tracking"}}, []string{"Hands", "Heat"}},
	{"all words must be there", Query{Words: []string{"tracking", "HEADSET"}}, []string{"Heat"}},
	{"a part of a word is another", Query{Words: []string{"track"}}, nil},
	{"a word twice", Query{Words: []string{"the", "The"}}, []string{"Edge", "Hands", "Heat"}},
	{"with a tag", Query{Words: []string{"headset"}, Tag: "edge"}, []string{"Edge"}},
	{"since a day", Query{Words: []string{"headset"}, Since: day(6)}, []string{"Edge"}},
	{"no more than wanted", Query{Words: []string{"tracking"}, Most: 1}, []string{"Hands"}},
}

func titles(r Result) (all []string) {
	for _, h := range r.Hits {
		all = append(all, h.Note.Title)
	}
	return all
}

func TestSearch(t *testing.T) {
	for _, tt := range queries {
		r, err := Search(t.Context(), notes, tt.q)
		if err != nil || !cmp.Equal(titles(r), tt.titles) {
			t.Errorf("%s: %q, %v; want %q", tt.why, titles(r), err, tt.titles)
		}
	}
	if r, _ := Search(t.Context(), notes, Query{Words: []string{"tracking"}, Tag: "input"}); r.Tags["xr"] != 2 || r.Tags["power"] != 1 {
		t.Errorf("the tags of all notes with the word are %v", r.Tags)
	}
	if _, err := Search(t.Context(), notes, Query{}); !errors.Is(err, errNoWords) {
		t.Errorf("no words: %v, want errNoWords", err)
	}
}

func TestMarked(t *testing.T) {
	r, err := Search(t.Context(), notes, Query{Words: []string{"degrees", "stays"}})
	if err != nil || len(r.Hits) != 1 {
		t.Fatal(r, err)
	}
	if got, want := marked(r.Hits[0]), "With detection at the edge the headset *stays* at 36 *degrees*."; got != want {
		t.Errorf("marked: %q, want %q", got, want)
	}
}

// The edge host finds the same, with all that belongs to a note.
func TestAtTheEdge(t *testing.T) {
	edgetest.Prepare(t, &searchFunc.Desc)
	for _, tt := range queries {
		want, err := search(t.Context(), notes, tt.q)
		if err != nil {
			t.Fatal(err)
		}
		var at offload.Trace
		got, err := Search(offload.WithTrace(t.Context(), &at), notes, tt.q)
		if err != nil || at.Host != edgetest.Name {
			t.Fatalf("%s: found on %q: %v", tt.why, at.Host, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: the UE finds (-), the edge host (+):\n%s", tt.why, diff)
		}
	}
	var said bytes.Buffer
	if err := show(t.Context(), &said, Query{Words: []string{"together"}}); err != nil || !strings.Contains(said.String(), "found on "+edgetest.Name+"\n2026-11-10 Lunch: On Friday we eat *together*.") {
		t.Errorf("%v; it said:\n%s", err, &said)
	}
}

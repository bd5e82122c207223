// Search finds notes by their words, here or on an edge host. It shows which values cross the network: structs in structs, maps, slices, times, and errors.
//
//	go run ./examples/search hand tracking                        # here
//	go run ./examples/search -edge 127.0.0.1:4433 -tag xr hands   # there
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/examples/internal/start"
	"github.com/bungee-xr/bungee/offload"
)

//go:generate go tool offloadgen

// A Note is a text and what is known of it.
type Note struct {
	Title, Text string
	Tags        []string
	Written     time.Time
	Author      *Author // nil: unknown
}

// An Author is somebody who writes notes.
type Author struct{ Name, Team string }

// A Query says which notes are wanted.
type Query struct {
	Words []string  // all of which a note has
	Tag   string    // empty: any
	Since time.Time // zero: ever
	Most  int       // results; 0: 10
}

// A Result is what was found.
type Result struct {
	Hits []Hit
	Tags map[string]int // how many of all notes with the words have each tag
}

// A Hit is a note that was found.
type Hit struct {
	Note  Note
	Score float64 // the share of the note's words that were looked for
	At    []Place // of the words
}

// A Place is a word's in a text, in bytes.
type Place struct{ From, To int }

// errNoWords says that a query is empty.
var errNoWords = errors.New("there is no word to look for")

// search returns the notes that have all words of a query, those with the most of them first.
//
//offload:func deadline=2s idempotent
func search(_ context.Context, notes []Note, q Query) (Result, error) {
	r := Result{Tags: map[string]int{}}
	if len(q.Words) == 0 {
		return r, fmt.Errorf("%d notes: %w", len(notes), errNoWords)
	}
	for _, n := range notes {
		at, of := places(n.Text, q.Words)
		if len(at) == 0 {
			continue
		}
		for _, tag := range n.Tags {
			r.Tags[tag]++
		}
		if q.Tag != "" && !slices.Contains(n.Tags, q.Tag) || n.Written.Before(q.Since) {
			continue
		}
		r.Hits = append(r.Hits, Hit{n, float64(len(at)) / float64(of), at})
	}
	slices.SortStableFunc(r.Hits, func(a, b Hit) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), b.Note.Written.Compare(a.Note.Written))
	})
	r.Hits = r.Hits[:min(len(r.Hits), cmp.Or(q.Most, 10))]
	return r, nil
}

// places returns where words stand in a text, whatever their case, and how many words the text has; none unless all of them are there.
func places(text string, words []string) (at []Place, of int) {
	missing := map[string]bool{}
	for _, w := range words {
		missing[strings.ToLower(w)] = true
	}
	wanted := len(missing)
	found := map[string]bool{}
	from := 0
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(" ,.;:!?\n\t", r) }) {
		i := from + strings.Index(text[from:], word)
		from = i + len(word)
		of++
		if w := strings.ToLower(word); missing[w] {
			found[w] = true
			at = append(at, Place{i, from})
		}
	}
	if len(found) < wanted {
		return nil, of
	}
	return at, of
}

func main() {
	flags := start.Register()
	tag := flag.String("tag", "", "tag that a note has (default: any)")
	flag.Parse()
	ctx := context.Background()
	h, err := flags.Handler(ctx, &searchFunc.Desc)
	if err != nil {
		log.Fatal("search: ", err)
	}
	defer h.Close()
	if err := show(ctx, os.Stdout, Query{Words: flag.Args(), Tag: *tag}); err != nil {
		log.Fatal("search: ", err)
	}
}

// show writes what a query finds in the notes.
func show(ctx context.Context, w io.Writer, q Query) error {
	var t offload.Trace
	r, err := Search(offload.WithTrace(ctx, &t), notes, q)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d of %d notes, found %s\n", len(r.Hits), len(notes), start.Where(&t))
	for _, h := range r.Hits {
		fmt.Fprintf(w, "%s %s: %s\n", h.Note.Written.Format(time.DateOnly), h.Note.Title, marked(h))
	}
	return nil
}

// marked returns a hit's text with its words in stars.
func marked(h Hit) string {
	var b strings.Builder
	from := 0
	for _, p := range h.At {
		b.WriteString(h.Note.Text[from:p.From] + "*" + h.Note.Text[p.From:p.To] + "*")
		from = p.To
	}
	return b.String() + h.Note.Text[from:]
}

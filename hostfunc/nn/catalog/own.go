package catalog

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bungee-xr/bungee/hostfunc/nn/model"
)

// Bounds on the text files beside a model.
const (
	maxText   = 1 << 20 // bytes
	maxLabels = 1 << 14
)

// isFile reports whether a name is a path rather than the name of an entry.
func isFile(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".onnx" || ext == ".weights"
}

// ownFile returns the model at path. One that is in the catalog byte for byte
// is used as the catalog says.
func ownFile(path string, opt Options) (Found, error) {
	stem := strings.TrimSuffix(path, filepath.Ext(path))
	paths := []string{path}
	if filepath.Ext(path) == ".weights" {
		paths = append(paths, stem+".cfg")
	}
	if e, ok := sameAs(paths); ok {
		e.Head = cmp.Or(opt.Head, e.Head)
		return Found{e, "took " + path + ", which is the catalog's " + e.Name}, nil
	}
	if filepath.Ext(path) == ".weights" {
		return ownDarknet(stem, paths, opt)
	}
	return ownONNX(stem, path, opt)
}

// sameAs returns the entry whose files these are.
func sameAs(paths []string) (Entry, bool) {
	for _, e := range Entries() {
		if len(e.Model.Files) != len(paths) {
			continue
		}
		same := true
		for i, p := range paths {
			same = same && matches(p, e.Model.Files[i])
			e.Model.Files[i].Path = p
		}
		if same {
			return e, true
		}
	}
	return Entry{}, false
}

// ownDarknet returns the user's network of Darknet.
func ownDarknet(stem string, paths []string, opt Options) (Found, error) {
	w, h := opt.InputSize, opt.InputSize
	if w == 0 {
		var err error
		if w, h, err = darknetSize(paths[1]); err != nil {
			return Found{}, err
		}
	}
	labels, from, err := labelsOf(stem, nil, COCO())
	if err != nil {
		return Found{}, err
	}
	return own(stem, paths, cmp.Or(opt.Head, "darknet"), w, h, labels, from)
}

// own makes an entry of the user's files.
func own(stem string, paths []string, head string, w, h int, labels []string, from string) (Found, error) {
	files := make([]model.File, len(paths))
	for i, p := range paths {
		files[i].Path = p
	}
	m := input(filepath.Base(stem), head, 0, files...)
	m.InputW, m.InputH = w, h
	if err := m.Check(); err != nil {
		return Found{}, err
	}
	e := Entry{Name: m.Name, Head: head, Labels: labels, Model: m, Licence: "unknown", Source: paths[0]}
	return Found{e, fmt.Sprintf("took %s as asked, not one of the catalog: %s", paths[0], e.prepared(from))}, nil
}

// prepared says how the user's network is used.
func (e *Entry) prepared(labels string) string {
	if !e.Model.TakesImage() {
		return "it takes tensors and no image"
	}
	head := "the head of " + e.Head
	if e.Head == "" {
		head = "its head by what it gives, since neither -head nor the file names one"
	}
	return fmt.Sprintf("input %dx%d, %s, %d labels %s", e.Model.InputW, e.Model.InputH, head, len(e.Labels), labels)
}

// darknetSize returns the input size that a .cfg gives in its section [net].
func darknetSize(path string) (w, h int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, fmt.Errorf("a .weights file needs its .cfg beside it: %w", err)
	}
	defer f.Close()
	w, h = parseNet(f)
	if w < 1 || h < 1 {
		return 0, 0, fmt.Errorf("%s has no width and height in its section [net]", path)
	}
	return w, h, nil
}

// parseNet returns width and height of the first section, zero if not given.
func parseNet(r io.Reader) (w, h int) {
	sections := 0
	s := bufio.NewScanner(io.LimitReader(r, maxText))
	for s.Scan() && sections < 2 {
		line := strings.TrimSpace(s.Text())
		if strings.HasPrefix(line, "[") {
			sections++
		}
		key, value, _ := strings.Cut(line, "=")
		n, err := strconv.Atoi(strings.TrimSpace(value))
		if err != nil || n < 1 || n > 1<<15 {
			continue
		}
		switch strings.TrimSpace(key) {
		case "width":
			w = n
		case "height":
			h = n
		}
	}
	return w, h
}

// labelsOf returns the labels of a network, and where they are from: the file beside it, or
// what its own file says, or else those that are usual.
func labelsOf(stem string, own, usual []string) (labels []string, from string, err error) {
	path := stem + ".names"
	if labels, err = readLabels(path); err != nil {
		return nil, "", err
	}
	switch {
	case labels != nil:
		return labels, "of " + path, nil
	case own != nil:
		return own, "of the file itself", nil
	}
	return usual, "that are usual, since there is no " + path, nil
}

// readLabels returns the lines of a file, nil where it does not exist.
func readLabels(path string) ([]string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	labels, err := parseLabels(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return labels, nil
}

func parseLabels(r io.Reader) ([]string, error) {
	var labels []string
	s := bufio.NewScanner(io.LimitReader(r, maxText))
	for s.Scan() {
		if len(labels) == maxLabels {
			return nil, fmt.Errorf("it has more than %d labels", maxLabels)
		}
		labels = append(labels, strings.TrimSpace(strings.ToValidUTF8(s.Text(), "?")))
	}
	for len(labels) > 0 && labels[len(labels)-1] == "" {
		labels = labels[:len(labels)-1]
	}
	if len(labels) == 0 && s.Err() == nil {
		return nil, errors.New("it has no labels: one a line, in the order of the classes")
	}
	return labels, s.Err()
}

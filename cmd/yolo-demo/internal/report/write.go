package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// The files of a report.
const (
	MetricsFile = "metrics.csv"
	SummaryFile = "summary.json"
	SVGFile     = "figure3.svg"
	PNGFile     = "figure3.png"
)

// Write writes all files of the report of r into dir, which it makes when there
// is none. A file appears whole or not at all, and the summary last, so that
// where there is a summary the others are. The error names the file, and what
// to do.
func Write(dir string, r *Run) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return explain("the report's folder", dir, err)
	}
	files := []struct {
		name  string
		write func(io.Writer) error
	}{
		{MetricsFile, func(w io.Writer) error { return WriteCSV(w, r) }},
		{SVGFile, func(w io.Writer) error { return WriteFigure(w, r, SVG) }},
		{PNGFile, func(w io.Writer) error { return WriteFigure(w, r, PNG) }},
		{SummaryFile, func(w io.Writer) error { return WriteSummary(w, Summarize(r)) }},
	}
	for _, f := range files {
		if err := writeFile(filepath.Join(dir, f.name), f.write); err != nil {
			return explain(f.name, dir, err)
		}
	}
	return nil
}

// explain says what could not be written and what helps.
func explain(name, dir string, err error) error {
	help := "choose another folder with -out"
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		help = "free some space there, or " + help
	}
	return fmt.Errorf("write %s into %s: %w; %s", name, dir, err, help)
}

// writeFile makes a file by way of a temporary one beside it.
func writeFile(path string, write func(io.Writer) error) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	err = errors.Join(write(tmp), tmp.Chmod(0o644), tmp.Sync())
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// WriteSummary writes s as indented JSON.
func WriteSummary(w io.Writer, s Summary) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(s)
}

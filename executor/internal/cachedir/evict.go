package cachedir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Evict removes files and folders of dir whose names match pattern until they hold no
// more than most bytes, those modified longest ago first. Who uses one touches it. What
// a running process has mapped or open stays readable for it where the system is a
// Unix. Processes may share dir: what another one removed meanwhile is no error. It
// never removes the one that was modified last.
func Evict(dir, pattern string, most int64) error {
	names, err := fs.Glob(os.DirFS(dir), pattern)
	if err != nil {
		return err
	}
	var entries []entry
	var total int64
	for _, name := range names {
		e := entryOf(filepath.Join(dir, name))
		entries = append(entries, e)
		total += e.size
	}
	slices.SortFunc(entries, func(a, b entry) int { return a.used.Compare(b.used) })
	var errs []error
	for i := 0; i < len(entries)-1 && total > most; i++ {
		errs = append(errs, os.RemoveAll(entries[i].path))
		total -= entries[i].size
	}
	return errors.Join(errs...)
}

// An entry is what [Evict] may remove.
type entry struct {
	path string
	size int64
	used time.Time
}

// entryOf looks at path and all below it. What cannot be read counts nothing.
func entryOf(path string) entry {
	e := entry{path: path}
	if info, err := os.Lstat(path); err == nil {
		e.used = info.ModTime()
	}
	_ = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			e.size += info.Size()
		}
		return nil
	})
	return e
}

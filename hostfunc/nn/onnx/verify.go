package onnx

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// EnvDigest is the environment variable that holds the SHA-256 of the library's file, in hex,
// where [Config].LibrarySHA256 does not.
const EnvDigest = "BUNGEE_ONNXRUNTIME_SHA256"

// installed are the digests of the files that scripts/onnxruntime.sh installs. They are pinned
// here, too: whoever can write to the user's cache could change what is written beside the file.
var installed = []string{
	"ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23", // 1.30.0 for Linux on x64
	"1f549d46250b005580b597f4164984aaf75b3bcb9f3aeb07c7f8a8fe60b23c76", // 1.30.0 for Linux on arm64
}

// A candidate is a file that may be the library.
type candidate struct {
	file    string   // a path, or a name that the dynamic linker finds
	digests []string // of which it must have one; empty: any
}

// candidates returns the files of [Library] with the digests that they must have. A digest
// that is given is that of the one file which is named, or of the installed one; what the
// linker would find is not tried then.
func candidates(path, digest string) ([]candidate, error) {
	if digest == "" {
		digest = os.Getenv(EnvDigest)
	}
	if raw, err := hex.DecodeString(digest); err != nil || digest != "" && len(raw) != sha256.Size {
		return nil, fmt.Errorf("%q is no SHA-256 of a library; want %d hexadecimal digits", digest, 2*sha256.Size)
	}
	named := path != "" || os.Getenv(Env) != ""
	var all []candidate
	for _, file := range Library(path) {
		c := candidate{file: file}
		switch {
		case digest != "":
			c.digests = []string{strings.ToLower(digest)}
		case !named && isPath(file):
			c.digests = installed
		}
		if isPath(file) || len(c.digests) == 0 {
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("a SHA-256 is given for a library that is not named by its path")
	}
	return all, nil
}

func isPath(file string) bool { return strings.ContainsAny(file, `/\`) }

// open opens the file of c when it has the digest that it must have and others cannot write
// to it, so that what is loaded from the descriptor is what was read. The caller closes it.
// It returns nil for what has no digest to have.
func (c candidate) open() (*os.File, error) {
	if len(c.digests) == 0 {
		return nil, nil
	}
	f, err := os.Open(c.file)
	if err != nil {
		return nil, err
	}
	if err := c.verify(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (c candidate) verify(f *os.File) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no file", c.file)
	case othersWrite(info):
		return fmt.Errorf("others may write to %s; make it your own or root's and run chmod go-w on it", c.file)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); !slices.Contains(c.digests, got) {
		return fmt.Errorf("%s has SHA-256 %s; want %s", c.file, got, strings.Join(c.digests, " or "))
	}
	return nil
}

package capability

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds on a manifest.
const (
	MaxEntries = 256 // of a list
	MaxName    = 256 // bytes of an entry
)

// all is the entry that asks for, or grants, whatever there is.
const all = "*"

// parseManifest reads a manifest's JSON. Each key may stand once and must be known,
// letter by letter: encoding/json alone would take the last of two, in any case.
func parseManifest(text []byte) (m Manifest, err error) {
	if !utf8.Valid(text) {
		return m, errors.New("manifest: it is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("manifest: %q; this host knows what docs/policy.md has, a newer one may know more", clip(err.Error()))
	}
	if len(bytes.TrimSpace(text[d.InputOffset():])) > 0 {
		return Manifest{}, errors.New("manifest: there is more behind it")
	}
	if err := exactKeys(json.NewDecoder(bytes.NewReader(text))); err != nil {
		return Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	if err := m.Check(); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// exactKeys holds that no object of the next value has a key twice, or with other
// letters than a to z: encoding/json takes "HOST" and "hoſt" for "host".
func exactKeys(d *json.Decoder) error {
	t, err := d.Token()
	if err != nil || t != json.Delim('{') && t != json.Delim('[') {
		return err
	}
	seen := map[string]bool{}
	for d.More() {
		if t == json.Delim('{') {
			k, err := d.Token()
			key, _ := k.(string)
			if err != nil {
				return err
			} else if seen[key] || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz") != "" {
				return fmt.Errorf("key %q is there twice, or is not in lower case", clip(key))
			}
			seen[key] = true
		}
		if err := exactKeys(d); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// String returns the text of the section that holds m.
func (m Manifest) String() string {
	text, _ := json.Marshal(m) // of strings and numbers, it cannot fail
	return string(text)
}

// Check returns an error that says everything that is wrong in m: malformed names,
// repeated entries, addresses without a port, limits below zero, an unknown class, and
// Deterministic together with Clock or Random.
func (m Manifest) Check() error {
	c := &checker{prefix: "manifest: "}
	c.list("host", m.Host, hostName)
	c.list("models", m.Models, orAll(m.Models, modelName))
	var folders []string
	for _, f := range m.Folders {
		folders = append(folders, f.Name)
	}
	c.list("folders", folders, folderName)
	c.list("connect", m.Connect, orAll(m.Connect, addressName))
	c.list("env", m.Env, envName)
	if m.Deterministic && (m.Clock || m.Random) {
		c.add("deterministic goes with neither clock nor random: what they give differs from run to run")
	}
	if m.Class != "" && m.Class != BestEffort && m.Class != RealTime {
		c.add("class %q is unknown; there are %q and %q", clip(m.Class), BestEffort, RealTime)
	}
	if m.Limits.Memory < 0 || m.Limits.Output < 0 || m.Limits.Deadline < 0 {
		c.add("a limit is negative")
	}
	return c.err()
}

// A checker collects what is wrong.
type checker struct {
	prefix string
	errs   []error
}

func (c *checker) add(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf(c.prefix+format, args...))
}

// maxErrors bounds what is said at once of a file or a module.
const maxErrors = 16

// err returns what was added as one error, nil for nothing.
func (c *checker) err() error { return join(c.errs) }

// join is errors.Join of at most maxErrors.
func join[E error](list []E) error {
	var errs []error
	for _, e := range list[:min(len(list), maxErrors)] {
		errs = append(errs, e)
	}
	if more := len(list) - len(errs); more > 0 {
		errs = append(errs, fmt.Errorf("and %d more", more))
	}
	return errors.Join(errs...)
}

// list checks the entries of a list, each with check.
func (c *checker) list(key string, entries []string, check func(string) error) {
	if len(entries) > MaxEntries {
		c.add("%s has %d entries; there may be %d", key, len(entries), MaxEntries)
		return
	}
	for i, e := range entries {
		if len(e) > MaxName {
			c.add("%s: %q goes on; an entry may have %d bytes", key, clip(e), MaxName)
		} else if err := check(e); err != nil {
			c.add("%s: %w", key, err)
		} else if slices.Index(entries, e) < i {
			c.add("%s: %q is there twice", key, clip(e))
		}
	}
}

// orAll lets an entry be "*", too, if it is the only one.
func orAll(entries []string, check func(string) error) func(string) error {
	return func(e string) error {
		if e == all && len(entries) == 1 {
			return nil
		}
		return check(e)
	}
}

var (
	hostNames = regexp.MustCompile(`^[A-Za-z0-9_.:/@-]+$`)
	envNames  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

func hostName(s string) error {
	if !hostNames.MatchString(s) {
		return fmt.Errorf("%q is no name of host functions; it has letters, digits and _ . : / @ -", clip(s))
	}
	return nil
}

func envName(s string) error {
	if !envNames.MatchString(s) {
		return fmt.Errorf("%q is no name of an environment variable; it has letters, digits and _", clip(s))
	}
	return nil
}

// modelName holds that s is no pattern, as grants may have them.
func modelName(s string) error {
	if !printable(s) || strings.ContainsAny(s, `*?[\`) {
		return fmt.Errorf(`%q is no name of a model; it has no * ? [ \ and begins and ends with no blank, and "*" stands alone`, clip(s))
	}
	return nil
}

func folderName(s string) error {
	if name := strings.TrimPrefix(s, "/"); !printable(s) || !fs.ValidPath(name) || name == "." {
		return fmt.Errorf("%q is no name of a folder; write one such as \"maps\" or \"/data/maps\"", clip(s))
	}
	return nil
}

func addressName(s string) error {
	_, err := parseAddress(s)
	return err
}

func printable(s string) bool {
	return s != "" && utf8.ValidString(s) && strings.TrimSpace(s) == s && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

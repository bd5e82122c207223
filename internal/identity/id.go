package identity

import (
	"fmt"
	"strings"
)

// An ID says who a peer is. It is a SPIFFE ID (SPIFFE-ID standard, section 2) of one of three
// forms:
//
//	spiffe://AUTHORITY/tenant/TENANT/ue/NAME
//	spiffe://AUTHORITY/host/NAME
//	spiffe://AUTHORITY/manager/NAME
//
// TENANT is whom quotas and bills belong to. An edge host and a manager serve all tenants, so they
// have none. The zero ID is nobody's.
type ID struct {
	Authority string // the name of who signs, the standard's trust domain
	Tenant    string // of a UE only
	Role      Role
	Name      string
}

// Bounds of names, in bytes. A name is a folder, stands in each line of logs and is a label
// of metrics. The standard allows 255 for an authority and 2048 for an ID.
const (
	MaxName      = 64
	MaxAuthority = 255
	maxID        = len(scheme) + MaxAuthority + len("/tenant//ue/") + 2*MaxName
)

const scheme = "spiffe://"

// String returns the ID as ParseID reads it, "" for the zero ID.
func (id ID) String() string {
	if id == (ID{}) {
		return ""
	}
	return scheme + id.Authority + "/" + id.Path()
}

// Path returns the ID without its authority, "tenant/acme/ue/headset-1". It is the zero ID's, too,
// and cannot be parsed then.
func (id ID) Path() string {
	if id.Role == UE {
		return "tenant/" + id.Tenant + "/ue/" + id.Name
	}
	return id.Role.String() + "/" + id.Name
}

// Short returns what a log calls the peer: "acme/headset-1" for a UE, "edge-1" for others.
func (id ID) Short() string {
	if id.Role == UE && id != (ID{}) {
		return id.Tenant + "/" + id.Name
	}
	return id.Name
}

// Check says what is wrong with the names of id.
func (id ID) Check() error {
	if err := CheckAuthority(id.Authority); err != nil {
		return err
	}
	if id.Role < UE || id.Role > Manager {
		return fmt.Errorf("there is no role %d", int(id.Role))
	}
	if id.Role == UE {
		if err := CheckName(id.Tenant); err != nil {
			return fmt.Errorf("tenant %w", err)
		}
	} else if id.Tenant != "" {
		return fmt.Errorf("a %s has no tenant", id.Role)
	}
	return CheckName(id.Name)
}

// CheckName says what is wrong with the name of a tenant or a device. The characters are those
// that the standard allows in a path: no encoding, no case folding, no Unicode, so two names
// that look alike are alike, and none is a pattern of a policy or leads out of a folder.
func CheckName(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("name is empty")
	case len(s) > MaxName:
		return fmt.Errorf("name %.20q... has %d bytes; it may have %d", s, len(s), MaxName)
	case s == "." || s == "..":
		return fmt.Errorf("name %q is a dot segment", s)
	case !consistsOf(s, isSegment):
		return fmt.Errorf("name %q has other characters than a-z A-Z 0-9 . _ -", s)
	}
	return nil
}

// CheckAuthority says what is wrong with the name of an authority.
func CheckAuthority(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("authority's name is empty")
	case len(s) > MaxAuthority:
		return fmt.Errorf("authority's name %.20q... has %d bytes; it may have %d", s, len(s), MaxAuthority)
	case !consistsOf(s, isAuthority):
		return fmt.Errorf("authority's name %q has other characters than a-z 0-9 . _ -", s)
	}
	return nil
}

func isAuthority(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == '_'
}

func isSegment(c byte) bool { return isAuthority(c) || 'A' <= c && c <= 'Z' }

func consistsOf(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

// ParseID reads an ID. It takes the one way to write each only, so that IDs which differ as texts
// differ, and refuses IDs of SPIFFE that are of none of the three forms.
func ParseID(s string) (ID, error) {
	if len(s) > maxID {
		return ID{}, fmt.Errorf("SPIFFE ID of %d bytes is too long; %d are the most", len(s), maxID)
	}
	rest, ok := strings.CutPrefix(s, scheme)
	if !ok {
		return ID{}, fmt.Errorf("%q does not begin with %s", s, scheme)
	}
	var id ID
	switch part := strings.Split(rest, "/"); {
	case len(part) == 5 && part[1] == "tenant" && part[3] == "ue":
		id = ID{part[0], part[2], UE, part[4]}
	case len(part) == 3 && part[1] == "host":
		id = ID{part[0], "", Host, part[2]}
	case len(part) == 3 && part[1] == "manager":
		id = ID{part[0], "", Manager, part[2]}
	default:
		return ID{}, fmt.Errorf("%q is not %sAUTHORITY/tenant/TENANT/ue/NAME, .../host/NAME or .../manager/NAME", s, scheme)
	}
	if err := id.Check(); err != nil {
		return ID{}, fmt.Errorf("SPIFFE ID %q: %w", s, err)
	}
	return id, nil
}

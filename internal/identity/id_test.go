package identity

import (
	"strings"
	"testing"
)

func TestParseID(t *testing.T) {
	long := strings.Repeat("n", MaxName)
	domain := strings.Repeat("d", MaxAuthority)
	tests := []struct {
		id, why string
		want    ID // zero: refused
	}{
		{"spiffe://acme.example/tenant/acme/ue/headset-1", "a UE", ID{"acme.example", "acme", UE, "headset-1"}},
		{"spiffe://a/host/edge-1", "an edge host has no tenant", ID{"a", "", Host, "edge-1"}},
		{"spiffe://a/manager/M_1.x", "upper case is allowed in a path", ID{"a", "", Manager, "M_1.x"}},
		{"spiffe://1.2.3.4/host/a", "the standard allows what looks like an address", ID{"1.2.3.4", "", Host, "a"}},
		{"spiffe://a/tenant/.../ue/-", "three dots are no dot segment", ID{"a", "...", UE, "-"}},
		{"spiffe://" + domain + "/tenant/" + long + "/ue/" + long, "the longest", ID{domain, long, UE, long}},

		{"", "empty", ID{}},
		{"spiffe:", "scheme only", ID{}},
		{"spiffe://", "no trust domain", ID{}},
		{"spiffe:///host/a", "empty trust domain", ID{}},
		{"spiffe:/a/host/b", "one slash", ID{}},
		{"http://a/host/b", "another scheme", ID{}},
		{"SPIFFE://a/host/b", "the scheme is written in lower case", ID{}},
		{"Spiffe://a/host/b", "the scheme is written in lower case", ID{}},
		{" spiffe://a/host/b", "a space before", ID{}},
		{"spiffe://A/host/b", "a trust domain is in lower case", ID{}},
		{"spiffe://a.\u0435xample/host/b", "Unicode in the trust domain", ID{}},
		{"spiffe://a%62/host/b", "percent encoding in the trust domain", ID{}},
		{"spiffe://a:80/host/b", "a port", ID{}},
		{"spiffe://u@a/host/b", "user information", ID{}},
		{"spiffe://u:p@a/host/b", "user and password", ID{}},
		{"spiffe://[::1]/host/b", "an IPv6 address", ID{}},
		{"spiffe://a/host/b?c", "a query", ID{}},
		{"spiffe://a/host/b#c", "a fragment", ID{}},
		{"spiffe://a/host/b/", "a slash at the end", ID{}},
		{"spiffe://a/host//b", "an empty segment", ID{}},
		{"spiffe://a//host/b", "an empty segment before", ID{}},
		{"spiffe://a/host/.", "a dot segment", ID{}},
		{"spiffe://a/host/..", "a dot segment", ID{}},
		{"spiffe://a/tenant/../ue/b", "a dot segment as tenant", ID{}},
		{"spiffe://a/tenant/acme/../evil/ue/b", "dot segments between", ID{}},
		{"spiffe://a/host/%2e%2e", "an encoded dot segment", ID{}},
		{"spiffe://a/host/b%2fc", "an encoded slash", ID{}},
		{"spiffe://a/tenant/acme-*/ue/b", "a pattern of a policy", ID{}},
		{"spiffe://a/tenant/acm\u0435/ue/b", "a Cyrillic letter", ID{}},
		{"spiffe://a/tenant/acme\u200b/ue/b", "a space without width", ID{}},
		{"spiffe://a/tenant/acme\x00/ue/b", "a zero byte", ID{}},
		{"spiffe://a/tenant/acme\n/ue/b", "a line's end", ID{}},
		{"spiffe://a/tenant/ac me/ue/b", "a space", ID{}},
		{"spiffe://a/tenant/a+b/ue/c", "a plus", ID{}},
		{`spiffe://a/tenant/a\b/ue/c`, "a backslash", ID{}},
		{"spiffe://a/tenant//ue/b", "an empty tenant", ID{}},
		{"spiffe://a/tenant/acme/ue/", "an empty name", ID{}},
		{"spiffe://a/tenant/acme/ue", "no name", ID{}},
		{"spiffe://a/tenant/acme/host/b", "a host of a tenant", ID{}},
		{"spiffe://a/ue/b", "a UE without a tenant", ID{}},
		{"spiffe://a/Host/b", "a role in upper case", ID{}},
		{"spiffe://a", "of SPIFFE, and no peer of ours", ID{}},
		{"spiffe://a/ns/x/sa/y", "of SPIFFE, and no peer of ours", ID{}},
		{"spiffe://a/host/" + long + "n", "a name too long", ID{}},
		{"spiffe://a/tenant/" + long + "n/ue/b", "a tenant too long", ID{}},
		{"spiffe://" + domain + "d/host/b", "a trust domain too long", ID{}},
		{"spiffe://a/host/" + strings.Repeat("b", 1<<20), "very long", ID{}},
	}
	for _, tt := range tests {
		got, err := ParseID(tt.id)
		if got != tt.want || (err == nil) != (tt.want != ID{}) {
			t.Errorf("%.80q: got %+v, %v; want %+v: %s", tt.id, got, err, tt.want, tt.why)
		}
		if err == nil && got.String() != tt.id {
			t.Errorf("%q is written %q", tt.id, got)
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("%s: an error of %d bytes", tt.why, len(err.Error()))
		}
	}
}

func TestIDsAreChecked(t *testing.T) {
	for _, id := range []ID{{}, {"a", "", UE, "b"}, {"a", "t", Host, "b"}, {"a", "", Role(9), "b"}, {"a", "", Role(-1), "b"}, {"", "", Host, "b"}} {
		if id.Check() == nil {
			t.Errorf("%+v passes", id)
		}
	}
	if s := (ID{}).String() + (ID{}).Short(); s != "" {
		t.Errorf("nobody is called %q", s)
	}
	if s := (ID{"a", "t", UE, "n"}).Short() + " " + (ID{"a", "", Host, "h"}).Short(); s != "t/n h" {
		t.Errorf("got %q", s)
	}
}

// What is parsed is written back as it was, so one peer has one ID.
func FuzzParseID(f *testing.F) {
	for _, s := range []string{"spiffe://a/tenant/b/ue/c", "spiffe://a/host/b", "spiffe://a/manager/b", "spiffe://a/host/..", "spiffe://A/host/%41", "spiffe://a/tenant/*/ue/c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseID(s)
		if err != nil {
			if id != (ID{}) {
				t.Errorf("%q gave %+v and %v", s, id, err)
			}
			return
		}
		if id.String() != s || id.Check() != nil || len(s) > maxID {
			t.Errorf("%q is %+v, which is written %q and has the fault %v", s, id, id, id.Check())
		}
		for _, name := range []string{id.Tenant, id.Name} {
			if strings.ContainsAny(name, "/\\%*?[]{}:@\x00\n ") || name == ".." || name == "." {
				t.Errorf("name %q", name)
			}
		}
	})
}

package event

import "slices"

// table holds the Spec of every type: named first, then a generic one for every
// other system call.
var table = func() []Spec {
	specs := slices.Clone(named[:])
	for t := range specs {
		specs[t].Type = Type(t)
	}
	known := make(map[string]bool, len(specs))
	for i := range specs {
		known[specs[i].Name] = true
	}
	for _, name := range syscallNames {
		if known[name] {
			continue
		}
		specs = append(specs, Spec{
			Type: Type(len(specs)), Name: name, Doc: "System call " + name + ", with its raw arguments.", Category: "other",
			Program: ProgramGeneric, NArgs: 6,
			Params: []Param{
				{"res", KindInt, Ret, nil},
				{"arg0", KindHex, Arg(0), nil},
				{"arg1", KindHex, Arg(1), nil},
				{"arg2", KindHex, Arg(2), nil},
				{"arg3", KindHex, Arg(3), nil},
				{"arg4", KindHex, Arg(4), nil},
				{"arg5", KindHex, Arg(5), nil},
			},
		})
	}
	if len(specs) > MaxTypes {
		panic("BUG: event: MaxTypes is too small")
	}
	return specs
}()

var byName = func() map[string]Type {
	m := make(map[string]Type, len(table))
	for i := range table {
		m[table[i].Name] = table[i].Type
	}
	return m
}()

// MaxTypes bounds the number of types, here and in bpf/include/event_types.h.
const MaxTypes = 512

// NumTypes returns how many types there are; they count from 0.
func NumTypes() int { return len(table) }

// Specs returns the table in the order of types. The caller must not change it.
func Specs() []Spec { return table }

// Spec returns the row of t. The caller must not change it.
func (t Type) Spec() *Spec {
	if int(t) >= len(table) {
		t = Unknown
	}
	return &table[t]
}

func (t Type) String() string { return t.Spec().Name }

// TypeByName returns the type that rules call name.
func TypeByName(name string) (Type, bool) {
	t, ok := byName[name]
	return t, ok
}

// TypeSet is a set of types. The zero value is empty.
type TypeSet [MaxTypes / 64]uint64

// TypesOf returns the set that holds exactly types.
func TypesOf(types ...Type) TypeSet {
	var s TypeSet
	for _, t := range types {
		s.Add(t)
	}
	return s
}

// AllTypes returns the set of every type.
func AllTypes() TypeSet { return TypeSet{}.Complement() }

// Add puts t into s.
func (s *TypeSet) Add(t Type) { s[t/64] |= 1 << (t % 64) }

// Has reports whether t is in s.
func (s *TypeSet) Has(t Type) bool { return s[t/64]&(1<<(t%64)) != 0 }

// Len returns how many types are in s.
func (s *TypeSet) Len() int {
	n := 0
	for t := range table {
		if s.Has(Type(t)) {
			n++
		}
	}
	return n
}

// Union returns the types in s or o.
func (s TypeSet) Union(o TypeSet) TypeSet {
	for i := range s {
		s[i] |= o[i]
	}
	return s
}

// Intersect returns the types in both s and o.
func (s TypeSet) Intersect(o TypeSet) TypeSet {
	for i := range s {
		s[i] &= o[i]
	}
	return s
}

// Complement returns the types that are not in s.
func (s TypeSet) Complement() TypeSet {
	var c TypeSet
	for t := range table {
		if !s.Has(Type(t)) {
			c.Add(Type(t))
		}
	}
	return c
}

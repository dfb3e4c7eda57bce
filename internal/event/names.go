package event

import "sync/atomic"

// Names holds the users and groups of one mount namespace. It is filled and
// refreshed in the background; look-ups take no lock and allocate nothing. A nil
// Names knows root only.
type Names struct{ table atomic.Pointer[nameTable] }

type nameTable struct {
	users  map[uint32]*User
	groups map[uint32]*Group
}

// User is an entry of the user database. It is immutable.
type User struct {
	ID                uint32
	Name, Home, Shell []byte
}

// Group is an entry of the group database. It is immutable.
type Group struct {
	ID   uint32
	Name []byte
}

// User and group 0 have the same name everywhere: a container's files cannot give
// its root another one.
var (
	rootUser  = &User{ID: 0, Name: []byte("root"), Home: []byte("/root")}
	rootGroup = &Group{ID: 0, Name: []byte("root")}
)

// User returns the user with that ID, or nil if it is not known.
func (n *Names) User(uid uint32) *User {
	if n != nil {
		if t := n.table.Load(); t != nil {
			if u, ok := t.users[uid]; ok {
				return u
			}
		}
	}
	if uid == 0 {
		return rootUser
	}
	return nil
}

// Group returns the group with that ID, or nil if it is not known.
func (n *Names) Group(gid uint32) *Group {
	if n != nil {
		if t := n.table.Load(); t != nil {
			if g, ok := t.groups[gid]; ok {
				return g
			}
		}
	}
	if gid == 0 {
		return rootGroup
	}
	return nil
}

// Set replaces every entry. The first entry of an ID counts, as for the C library.
// The caller gives up users and groups and what they point to.
func (n *Names) Set(users []User, groups []Group) {
	t := &nameTable{users: make(map[uint32]*User, len(users)), groups: make(map[uint32]*Group, len(groups))}
	for i := range users {
		u := &users[i]
		if u.ID == 0 {
			u = &User{ID: 0, Name: rootUser.Name, Home: rootUser.Home, Shell: u.Shell}
		}
		if _, ok := t.users[u.ID]; !ok {
			t.users[u.ID] = u
		}
	}
	for i := range groups {
		g := &groups[i]
		if g.ID == 0 {
			g = rootGroup
		}
		if _, ok := t.groups[g.ID]; !ok {
			t.groups[g.ID] = g
		}
	}
	n.table.Store(t)
}

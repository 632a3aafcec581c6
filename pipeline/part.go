package pipeline

import "hash/fnv"

// Divide says, for each item, to which of n parts it belongs, from 1. Parts may be made by different machines at the
// same time. An item stays in its part whatever is added to the manifest, for it goes by its id; items that must not be
// made apart go by one id of theirs: those that take each other's assets, because nobody can wait for another machine,
// and those with one and the same payload, because a lost submit of one could be taken for the other's.
func Divide(items []*Item, n int) []int {
	groups := make([]int, len(items)) // the first member of each one's group, by way of others
	for i := range groups {
		groups[i] = i
	}
	first := func(i int) int {
		for groups[i] != i {
			groups[i] = groups[groups[i]]
			i = groups[i]
		}
		return i
	}
	join := func(i, j int) { groups[max(first(i), first(j))] = min(first(i), first(j)) }

	byID := make(map[string]int, len(items))
	for i, it := range items {
		byID[it.ID] = i
	}
	same := map[string]int{}
	for i, it := range items {
		for _, id := range it.Sources {
			if source, ok := byID[id]; ok {
				join(i, source)
			}
		}
		if it.PicksSeed {
			continue // its submits are like no other
		}
		payload := Fingerprint(it.Model, it.Payload, "", func(id string) string { return id })
		if other, ok := same[payload]; ok {
			join(i, other)
		} else {
			same[payload] = i
		}
	}
	least := make([]string, len(items)) // of the ids in a group
	for i, it := range items {
		if g := first(i); least[g] == "" || it.ID < least[g] {
			least[g] = it.ID
		}
	}
	parts := make([]int, len(items))
	for i := range items {
		h := fnv.New64a()
		h.Write([]byte(least[first(i)]))
		parts[i] = int(h.Sum64()%uint64(n)) + 1
	}
	return parts
}

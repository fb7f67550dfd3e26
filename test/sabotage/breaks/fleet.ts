import type { Break } from '../break.ts'

export const breaks: Break[] = [
  {
    name: 'fleet: a stale leader must not write',
    file: 'src/fleet/election.ts',
    line: 'const mayWrite = () => time.steadyMs() < validUntilMs - leaseMs * UNUSED',
    instead: 'const mayWrite = () => leaseMs * UNUSED > 0 && validUntilMs > 0',
    testFile: 'test/fleet/election.test.ts',
    test: 'a leader that was stopped and wakes after another took over may not write, at its very first look',
  },
  {
    name: 'fleet: no time of day in the election',
    file: 'src/fleet/election.ts',
    line: "return lease.holder === '' || time.steadyMs() - atMs >= lease.durationSeconds * 1_000",
    instead:
      "return lease.holder === '' || atMs < 0 || time.now().getTime() - (lease.acquiredAt?.getTime() ?? 0) >= 1_800_000",
    testFile: 'test/fleet/election.test.ts',
    test: 'a node whose time of day is an hour ahead takes nothing from the leader, and one an hour behind loses nothing',
  },
  {
    name: 'fleet: a lower seq never wins',
    file: 'src/fleet/compare.ts',
    line: "if (theirSeq !== ourSeq) return theirSeq > ourSeq ? 'newer' : 'older'",
    instead: "if (theirSeq !== ourSeq) return 'newer'",
    testFile: 'test/fleet/replica.test.ts',
    test: 'an older Secret never overwrites what a node holds; the node puts the newer one back',
  },
  {
    name: 'fleet: an empty read overwrites nothing',
    file: 'src/fleet/replica.ts',
    line: 'if (!read.ok) return unreachable(read.fault, ours)',
    instead: 'if (!read.ok) await keychain.replicate(key, () => ({ tombstone: { seq: 99, version: 9 } }))',
    testFile: 'test/fleet/replica.test.ts',
    test: 'a Secret that is gone, cannot be read or is not ours takes nothing away',
  },
  {
    name: 'fleet: compare-and-swap on publishing',
    file: 'src/fleet/canonical-store.ts',
    line: 'const body = toCanonical(key, entry, namespace, { uid: base.uid, resourceVersion: base.resourceVersion })',
    instead: 'const body = toCanonical(key, entry, namespace, base === undefined ? base : undefined)',
    testFile: 'test/fleet/fleet.test.ts',
    test: 'lets one of two nodes rotate that do so at once',
  },
  {
    name: 'fleet: a fork is left alone',
    file: 'src/fleet/compare.ts',
    line: "return lendAlike(theirs.credential, ours.credential) ? 'alike' : 'forked'",
    instead: "return lendAlike(theirs.credential, ours.credential) ? 'alike' : 'newer'",
    testFile: 'test/fleet/replica.test.ts',
    test: 'two credentials of the same age are reported and left alone, until a login decides',
  },
  {
    name: 'fleet: the type of a canonical Secret',
    file: 'src/fleet/canonical.ts',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a line of source as text
    line: 'if (type !== SECRET_TYPE) return { garbled: `its type is not ${SECRET_TYPE}` }',
    instead: "if (type === '') return { garbled: SECRET_TYPE }",
    testFile: 'test/fleet/canonical.test.ts',
    test: 'a canonical Secret is refused, and nothing of it is shown: another type',
  },
  {
    name: 'fleet: a rotation is driven by one node',
    file: 'src/rotation/whose.ts',
    line: 'return fleet === undefined || node === undefined || node === fleet.node',
    instead: "return fleet === undefined || node !== ''",
    testFile: 'test/fleet/drive.test.ts',
    test: 'a rotation is driven by the node that began it, and by no other that learns of it',
  },
  {
    name: 'fleet: PREVIOUS waits for the nodes',
    file: 'src/rotation/grace.ts',
    line: 'return isOver || parts.fleet.allAdopted(key, stored.seq, signal)',
    instead: 'return isOver || stored.seq > 0',
    testFile: 'test/fleet/drive.test.ts',
    test: 'PREVIOUS waits at the end of its grace for a live node that has not taken over, but not for ever',
  },
]

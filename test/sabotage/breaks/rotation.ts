import type { Break } from '../break.ts'

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: these are lines of source as text
export const breaks: Break[] = [
  {
    name: 'rotation: verify before commit',
    file: 'src/rotation/settle.ts',
    line: "if (verdict.outcome === 'accepted') {",
    instead: "if (verdict.outcome !== 'unverifiable') {",
    testFile: 'test/rotation/machine.test.ts',
    test: 'nothing is committed before the registry has accepted it',
  },
  {
    name: 'rotation: intent before act',
    file: 'src/rotation/acts.ts',
    line: "await onAct({ ...act, phase: 'intent', id, outcome: undefined })",
    instead: '',
    testFile: 'test/rotation/machine.test.ts',
    test: 'an act whose intent cannot be written is not done: nothing is stored, nothing asked',
  },
  {
    name: 'rotation: resume',
    file: 'src/rotation/machine.ts',
    line: 'if (staged !== undefined) drive(key, staged.id)',
    instead: '',
    testFile: 'test/rotation/crash.test.ts',
    test: 'a rotation whose process is killed at any point is brought to its end by the next one',
  },
  {
    name: 'rotation: a second abort is no act',
    file: 'src/rotation/machine.ts',
    line: "if (found.state === 'ABORTED') return describe(key, found)",
    instead: '',
    testFile: 'test/rotation/machine.test.ts',
    test: 'an abort drops PENDING, ends the polling and leaves CURRENT; a second abort is no error and no act',
  },
  {
    name: 'canary: a password in the audit, coded',
    file: 'src/rotation/replace-credential.ts',
    line: "const act = { actor, action: 'credential.put' as const, target: key, detail: { verify } }",
    instead:
      "const act = { actor, action: 'credential.put' as const, target: key, detail: { verify, sent: Buffer.from(`ci:${login.secret.reveal()}`).toString('base64').slice(0, 99) } }",
    testFile: 'test/daemon/canary.test.ts',
    test: 'with the keychain in a real keyring that is locked, killed and started again',
  },
]
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: as above

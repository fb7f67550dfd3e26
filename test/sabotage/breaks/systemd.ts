import type { Break } from '../break.ts'

export const breaks: Break[] = [
  {
    name: 'systemd: no child speaks in our name',
    file: 'src/systemd/notify.ts',
    line: "for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete environment[name]",
    instead: '',
    testFile: 'test/systemd/notify.test.ts',
    test: 'the variables are taken out of the environment, so that no child speaks in our name',
  },
  {
    name: 'unit: the environment that memory was measured in',
    file: 'systemd/regcredd.service',
    line: 'Environment=MALLOC_ARENA_MAX=2',
    instead: '',
    testFile: 'test/bench/as-installed.test.ts',
    test: 'the starter that the docs install is the one that the unit shows and the bench takes its flags from',
  },
]

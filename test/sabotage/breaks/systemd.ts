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
]

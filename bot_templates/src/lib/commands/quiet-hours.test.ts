import { describe, expect, test } from 'vitest';
import { secrets } from '../../../test/support/events.ts';
import { Secrets } from '../secrets.ts';
import { isQuiet, readQuietHours } from './quiet-hours.ts';

const quiet = (hours: string, zone: string) => {
  const found = readQuietHours(new Secrets(secrets({ QUIET_HOURS: hours, QUIET_HOURS_TZ: zone })));
  return (instant: string): boolean => isQuiet(found as NonNullable<typeof found>, new Date(instant));
};

describe('quiet hours', () => {
  test('lie across midnight, on the clocks of their time zone, in summer and in winter', () => {
    const inZurich = quiet('22:00-06:00', 'Europe/Zurich');
    expect(inZurich('2026-07-01T20:00:00Z')).toBe(true);
    expect(inZurich('2026-07-01T19:59:59Z')).toBe(false);
    expect(inZurich('2026-01-01T20:30:00Z')).toBe(false);
    expect(inZurich('2026-01-01T21:00:00Z')).toBe(true);
    expect(inZurich('2026-07-02T03:59:00Z')).toBe(true);
    expect(inZurich('2026-07-02T04:00:00Z')).toBe(false);
  });

  test('are elsewhere at another time', () => {
    const instant = '2026-07-01T12:30:00Z';
    expect(quiet('22:00-06:00', 'Asia/Tokyo')(instant)).toBe(false);
    expect(quiet('22:00-06:00', 'Australia/Sydney')(instant)).toBe(true);
    expect(quiet('22:00-06:00', 'Pacific/Auckland')(instant)).toBe(true);
  });

  test('within a day end before their last minute', () => {
    const noon = quiet('12:00-13:30', 'UTC');
    expect(noon('2026-01-01T13:29:59Z')).toBe(true);
    expect(noon('2026-01-01T13:30:00Z')).toBe(false);
    expect(noon('2026-01-01T00:00:00Z')).toBe(false);
  });

  test('are all day where both times are the same', () => {
    const always = quiet('00:00-00:00', 'UTC');
    expect([0, 6, 12, 23].every((hour) => always(`2026-01-01T${String(hour).padStart(2, '0')}:00:00Z`))).toBe(true);
  });

  test.each(['22-06', '24:00-06:00', '22:60-06:00', 'always', '22:00'])('%s is NOT_CONFIGURED', (hours) => {
    expect(() => quiet(hours, 'UTC')).toThrow(expect.objectContaining({ code: 'NOT_CONFIGURED' }) as Error);
  });

  test('in no known zone are NOT_CONFIGURED', () => {
    expect(() => quiet('22:00-06:00', 'Somewhere')).toThrow(expect.objectContaining({ code: 'NOT_CONFIGURED' }) as Error);
  });

  test('are none where neither secret is set', () => {
    expect(readQuietHours(new Secrets(secrets({})))).toBeUndefined();
  });

  test('without a time zone are at every hour, for nobody knows which are meant', () => {
    const found = readQuietHours(new Secrets(secrets({ QUIET_HOURS: '22:00-06:00' })));
    expect(found).toEqual({ incomplete: true, always: true });
    expect(isQuiet(found as NonNullable<typeof found>, new Date('2026-07-01T12:00:00Z'))).toBe(true);
  });

  test('of a time zone without hours are at none, and still incomplete', () => {
    const found = readQuietHours(new Secrets(secrets({ QUIET_HOURS_TZ: 'UTC' })));
    expect(found).toEqual({ incomplete: true, always: false });
    expect(isQuiet(found as NonNullable<typeof found>, new Date('2026-07-01T23:00:00Z'))).toBe(false);
  });

  test('that are no times of day are NOT_CONFIGURED without a time zone too', () => {
    const settings = new Secrets(secrets({ QUIET_HOURS: 'at night' }));
    expect(() => readQuietHours(settings)).toThrow(expect.objectContaining({ code: 'NOT_CONFIGURED' }) as Error);
  });
});

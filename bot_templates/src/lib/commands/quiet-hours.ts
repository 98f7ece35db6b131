import { BotFailure } from '../failure.ts';
import type { Secrets } from '../secrets.ts';

/** A part of the day, in minutes after midnight of a time zone; it may lie across midnight. */
export interface QuietHours {
  from: number;
  until: number;
  timeZone: string;
}

/**
 * `incomplete`: one of the two secrets is missing, and nobody knows when it is quiet. `always` where hours were asked
 * for: then everything that can wait does, for a site that wants quiet nights must not lose them to a missing secret.
 */
export type Quiet = QuietHours | { incomplete: true; always: boolean };

/**
 * Reads QUIET_HOURS, such as `22:00-06:00`, and QUIET_HOURS_TZ, such as `Europe/Zurich`.
 * @returns undefined when neither is set.
 * @throws BotFailure NOT_CONFIGURED when they are not understood.
 */
export function readQuietHours(secrets: Secrets): Quiet | undefined {
  const hours = secrets.optional('QUIET_HOURS');
  const timeZone = secrets.optional('QUIET_HOURS_TZ');
  if (hours === undefined) {
    return timeZone === undefined ? undefined : { incomplete: true, always: false };
  }
  const match = /^([01]\d|2[0-3]):([0-5]\d)\s*-\s*([01]\d|2[0-3]):([0-5]\d)$/.exec(hours);
  if (!match) {
    throw notConfigured('QUIET_HOURS', 'must be two times of day, such as 22:00-06:00');
  }
  if (timeZone === undefined) {
    return { incomplete: true, always: true };
  }
  const [, fromHour, fromMinute, untilHour, untilMinute] = match.map(Number) as [number, number, number, number, number];
  const quiet = { from: fromHour * 60 + fromMinute, until: untilHour * 60 + untilMinute, timeZone };
  minuteOfDay(new Date(), timeZone);
  return quiet;
}

/** Whether it is quiet: from the first minute on, until before the last. Equal times mean the whole day. */
export function isQuiet(quiet: Quiet, now: Date): boolean {
  if ('incomplete' in quiet) {
    return quiet.always;
  }
  const minute = minuteOfDay(now, quiet.timeZone);
  return quiet.from < quiet.until
    ? minute >= quiet.from && minute < quiet.until
    : minute >= quiet.from || minute < quiet.until;
}

/** Minutes after midnight on the clocks of a time zone, summer time included. */
function minuteOfDay(now: Date, timeZone: string): number {
  let parts: Intl.DateTimeFormatPart[];
  try {
    parts = new Intl.DateTimeFormat('en-GB', {
      timeZone,
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    }).formatToParts(now);
  } catch {
    throw notConfigured('QUIET_HOURS_TZ', 'must be the name of a time zone, such as Europe/Zurich');
  }
  const part = (type: string): number => Number(parts.find((each) => each.type === type)?.value);
  return part('hour') * 60 + part('minute');
}

function notConfigured(secret: string, rule: string): BotFailure {
  return new BotFailure('NOT_CONFIGURED', `The project secret ${secret} ${rule}`, { secret });
}

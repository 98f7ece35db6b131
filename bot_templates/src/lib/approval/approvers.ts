import type { Practitioner, PractitionerRole } from '@medplum/fhirtypes';
import { type ApproverRole, APPROVER_ROLES } from '../commands/kind.ts';
import { BotFailure } from '../failure.ts';
import { readCurrent, searchPage } from '../fhir.ts';
import { isUuid, parseReference } from '../ids.ts';
import { isObject } from '../input.ts';
import type { BotRun } from '../run.ts';
import type { Secrets } from '../secrets.ts';
import { refusal } from './refusal.ts';

/** The codes of PractitionerRole.code, `system|code`, that make somebody an approver of each role. */
export type RoleCodes = Record<ApproverRole, readonly string[]>;

const HL7 = 'http://terminology.hl7.org/CodeSystem/practitioner-role';
const SNOMED = 'http://snomed.info/sct';

const DEFAULTS: RoleCodes = {
  // SNOMED CT: medical practitioner, physician
  practitioner: [`${HL7}|doctor`, `${SNOMED}|158965000`, `${SNOMED}|309343006`],
  // professional nurse, nurse
  nurse: [`${HL7}|nurse`, `${SNOMED}|106292003`, `${SNOMED}|265937000`],
  // pharmacist
  pharmacist: [`${HL7}|pharmacist`, `${SNOMED}|46255001`],
  // Until a site names its billers, practitioners approve codes.
  billing: [],
};

const MOST_CODES = 100;

/**
 * Reads APPROVER_ROLES, JSON `{practitioner|nurse|pharmacist|billing: ["system|code", …]}`; a role that it does not
 * name keeps its default.
 * @throws BotFailure NOT_CONFIGURED for anything else: who may approve is not guessed.
 */
export function readRoleCodes(secrets: Secrets): RoleCodes {
  const text = secrets.optional('APPROVER_ROLES');
  if (text === undefined) {
    return DEFAULTS;
  }
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    given = undefined;
  }
  if (!isObject(given) || !Object.entries(given).every(isRoleEntry)) {
    throw new BotFailure(
      'NOT_CONFIGURED',
      `The project secret APPROVER_ROLES must be JSON: lists of "system|code" by ${APPROVER_ROLES.join(', ')}`,
      { secret: 'APPROVER_ROLES' }
    );
  }
  return { ...DEFAULTS, ...(given as Partial<RoleCodes>) };
}

function isRoleEntry([role, codes]: [string, unknown]): boolean {
  return (
    APPROVER_ROLES.some((each) => each === role) &&
    Array.isArray(codes) &&
    codes.length <= MOST_CODES &&
    codes.every((code) => typeof code === 'string' && /^[^\s|]+\|[^\s|]+$/.test(code))
  );
}

/** Somebody whom the server attests to be a practitioner, with the roles they have today. */
export interface Approver {
  /** `Practitioner/id` */
  who: string;
  roles: ApproverRole[];
}

/**
 * Makes sure that a person decides who is a practitioner with an active role.
 * @param who - As the server attests it: `event.requester`, or the author of a version.
 * @param onBehalfOf - For whom they say to act: nobody decides for somebody else.
 * @throws BotFailure UNAUTHORIZED
 */
export async function requireApprover(
  run: BotRun,
  who: string | undefined,
  onBehalfOf: string | undefined,
  codes: RoleCodes
): Promise<Approver> {
  requirePerson(who, onBehalfOf);
  const id = parseReference(who)?.id as string;
  const [practitioner, page] = await Promise.all([
    readCurrent<Practitioner>(run.medplum, 'Practitioner', id, 'DB_ERROR'),
    searchPage<PractitionerRole>(run.medplum, 'PractitionerRole', `practitioner=${who}&_count=100`, 'DB_ERROR'),
  ]);
  if (practitioner.found === undefined || practitioner.found.active === false) {
    throw refusal('INACTIVE_PRACTITIONER', 'The practitioner is not active');
  }
  const found = (page.entry ?? []).map(({ resource }) => resource).filter((role) => role !== undefined);
  const roles = rolesOf(found, who as string, codes, new Date());
  if (roles.length === 0) {
    throw refusal('NO_ACTIVE_ROLE', 'The practitioner has no active PractitionerRole with a code that may approve');
  }
  return { who: who as string, roles };
}

/** @throws BotFailure UNAUTHORIZED unless it is a practitioner who acts for themselves. */
export function requirePerson(who: string | undefined, onBehalfOf: string | undefined): void {
  if (onBehalfOf !== undefined) {
    throw refusal('ON_BEHALF_OF', 'Nobody decides on behalf of somebody else');
  }
  const reference = parseReference(who);
  if (reference?.resourceType !== 'Practitioner' || !isUuid(reference.id)) {
    throw refusal('NOT_A_PRACTITIONER', 'Only a practitioner decides; no bot, application or patient does');
  }
}

/** The roles that somebody's PractitionerRoles give them on a day. */
export function rolesOf(
  found: readonly PractitionerRole[],
  who: string,
  codes: RoleCodes,
  now: Date
): ApproverRole[] {
  const held = found
    .filter((role) => role.practitioner?.reference === who && role.active === true && isCurrent(role, now))
    .flatMap(({ code }) => (code ?? []).flatMap(({ coding }) => coding ?? []))
    .map(({ system, code }) => `${system}|${code}`);
  return APPROVER_ROLES.filter((role) => codes[role].some((code) => held.includes(code)));
}

/** Whether the period of a role holds; one that cannot be read does not. */
function isCurrent({ period }: PractitionerRole, now: Date): boolean {
  const { start, end } = period ?? {};
  // The last day counts, to its end.
  const last = end !== undefined && end.length <= 10 ? Date.parse(end) + DAY_MS * daysOf(end) : Date.parse(end ?? '');
  return (
    (start === undefined || Date.parse(start) <= now.getTime()) && (end === undefined || now.getTime() <= last)
  );
}

const DAY_MS = 86_400_000;

/** How many days a FHIR date stands for, at least; a month or a year ends with its first day, to be safe. */
function daysOf(date: string): number {
  return date.length === 10 ? 1 : 0;
}

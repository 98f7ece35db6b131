import type { DetectedIssue, DetectedIssueMitigation } from '@medplum/fhirtypes';
import { randomUUID } from 'node:crypto';
import type { Write } from '../commands/kind.ts';
import { write } from '../commands/writing.ts';
import { sha256 } from '../hash.ts';
import type { BotRun } from '../run.ts';
import type { Finding } from './finding.ts';
import type { DecisionRules, Ruleset } from './rules.ts';

const ACT_CODE = 'http://terminology.hl7.org/CodeSystem/v3-ActCode';
const DISPLAY = { DRG: 'Drug Interaction Alert', DUPTHPY: 'Duplicate Therapy Alert', ALGY: 'Allergy Alert' } as const;

/** A status of R4's ObservationStatus, to which R4 binds it; the types of Medplum have a shorter list. */
const CANCELLED = 'cancelled' as DetectedIssue['status'];
/** Statuses under which an issue stands. */
const OPEN: readonly string[] = ['registered', 'preliminary', 'final', 'amended', 'corrected'];
/** Code of our own, by which an issue that we cancelled is told from one that a person cancelled. */
const NO_LONGER = 'no-longer-applies';
/** Writes at once. */
const AT_ONCE = 8;
/** Issues that one run makes; beyond, the record needs a person rather than more issues. */
const MOST_NEW = 60;

/** System of the identifier of our DetectedIssues. */
export function issueSystem(namespace: string): string {
  return `${namespace}/detected-issue`;
}

/** The same rule on the same records is the same issue for ever. */
export function issueKey(patientId: string, finding: Finding): string {
  return sha256([`Patient/${patientId}`, finding.kind, finding.rule, ...finding.implicated].join('\n'));
}

/** The issue of a finding. No model has a part in it, so it carries no label of artificial intelligence. */
export function issueOf(
  namespace: string,
  patientId: string,
  finding: Finding,
  ruleset: Ruleset,
  more: { device?: string | undefined; now: string }
): DetectedIssue {
  return {
    resourceType: 'DetectedIssue',
    identifier: [{ system: issueSystem(namespace), value: issueKey(patientId, finding) }],
    status: 'final',
    code: { coding: [{ system: ACT_CODE, code: finding.kind, display: DISPLAY[finding.kind] }], text: finding.title },
    severity: finding.severity,
    patient: { reference: `Patient/${patientId}` },
    identifiedDateTime: more.now,
    ...(more.device === undefined ? {} : { author: { reference: more.device } }),
    implicated: finding.implicated.map((reference) => ({ reference })),
    evidence: [
      { code: [{ coding: [{ system: `${namespace}/decision-rule`, code: finding.rule.replace(/\s+/g, '-') }] }] },
    ],
    detail: `${finding.detail} Found by rule ${finding.rule} of ${ruleset.id} ${ruleset.version}, without a model.`,
  };
}

/** What became of the issues of a patient. */
export interface Kept {
  /** `DetectedIssue/id` of those that stand, by their key. */
  standing: Map<string, string>;
  created: number;
  cancelled: number;
  reopened: number;
  /** Issues that another run had made meanwhile. */
  met: number;
  /** Findings whose issue a person has cancelled or marked as an error. */
  setAside: number;
  /** Findings for which no issue was made, because there are too many. */
  leftOut: number;
}

/** What the issues are brought in line with. */
export interface Wanted {
  findings: readonly Finding[];
  /** Ours that are there already, whatever their status. */
  existing: readonly DetectedIssue[];
  /** Whether an issue that is not wanted can be told to be over. */
  isOver(issue: DetectedIssue): boolean;
}

/**
 * Brings a patient's issues in line with what was found: makes what is missing, takes up again what this bot cancelled,
 * cancels what no longer holds. What a person cancelled or marked as an error stays as it is.
 * @throws BotFailure
 */
export async function keepIssues(
  run: BotRun,
  patientId: string,
  rules: Pick<DecisionRules, 'ruleset'>,
  wanted: Wanted
): Promise<Kept> {
  const now = new Date().toISOString();
  const device = await run.device();
  // One that stands goes before another of the same key.
  const inOrder = [...wanted.existing].sort((one, other) => Number(isOpen(one)) - Number(isOpen(other)));
  const existing = new Map(inOrder.map((issue) => [keyOf(run.namespace, issue), issue]));
  const kept: Kept = { standing: new Map(), created: 0, cancelled: 0, reopened: 0, met: 0, setAside: 0, leftOut: 0 };
  const work: (() => Promise<void>)[] = [];
  const keys = new Set<string>();
  for (const finding of wanted.findings) {
    const key = issueKey(patientId, finding);
    const issue = existing.get(key);
    keys.add(key);
    if (issue === undefined) {
      if (work.length >= MOST_NEW) {
        kept.leftOut++;
        continue;
      }
      const made = issueOf(run.namespace, patientId, finding, rules.ruleset, { device, now });
      work.push(async () => {
        const answer = await write(run, creation(made));
        if ('resource' in answer) {
          kept.standing.set(key, `DetectedIssue/${answer.resource.id}`);
          kept.created += Number(answer.created);
          kept.met += Number(!answer.created);
        }
      });
    } else if (isOpen(issue)) {
      kept.standing.set(key, `DetectedIssue/${issue.id}`);
    } else if (issue.status === CANCELLED && wasOurs(run.namespace, issue)) {
      work.push(async () => {
        const answer = await write(run, change(reopened(run.namespace, issue)));
        if ('resource' in answer) {
          kept.standing.set(key, `DetectedIssue/${issue.id}`);
          kept.reopened++;
        }
      });
    } else {
      kept.setAside++;
    }
  }
  for (const [key, issue] of existing) {
    if (!keys.has(key) && isOpen(issue) && wanted.isOver(issue)) {
      work.push(async () => {
        const answer = await write(run, change(cancelled(run.namespace, issue, now)));
        kept.cancelled += Number('resource' in answer);
      });
    }
  }
  for (let at = 0; at < work.length; at += AT_ONCE) {
    await Promise.all(work.slice(at, at + AT_ONCE).map((task) => task()));
  }
  return kept;
}

function isOpen({ status }: DetectedIssue): boolean {
  return OPEN.includes(status);
}

function keyOf(namespace: string, issue: DetectedIssue): string {
  return issue.identifier?.find(({ system }) => system === issueSystem(namespace))?.value ?? '';
}

/** Cancelled, and why, for whoever reads it. */
export function cancelled(namespace: string, issue: DetectedIssue, now: string): DetectedIssue {
  const mitigation: DetectedIssueMitigation = {
    action: {
      coding: [{ system: `${namespace}/decision-support`, code: NO_LONGER }],
      text: 'What the issue was found in no longer stands so in the record; cancelled by the Clinical Decision Support Bot.',
    },
    date: now,
  };
  return { ...issue, status: CANCELLED, mitigation: [...(issue.mitigation ?? []), mitigation] };
}

function reopened(namespace: string, issue: DetectedIssue): DetectedIssue {
  const mitigation = (issue.mitigation ?? []).filter((each) => !isOurs(namespace, each));
  const { mitigation: _ours, ...rest } = issue;
  return { ...rest, status: 'final', ...(mitigation.length > 0 ? { mitigation } : {}) };
}

/** Whether this bot cancelled an issue, and nobody wrote anything about it since. */
function wasOurs(namespace: string, issue: DetectedIssue): boolean {
  const last = issue.mitigation?.at(-1);
  return last !== undefined && isOurs(namespace, last);
}

function isOurs(namespace: string, { action }: DetectedIssueMitigation): boolean {
  return (
    action.coding?.some(({ system, code }) => system === `${namespace}/decision-support` && code === NO_LONGER) ?? false
  );
}

function creation(issue: DetectedIssue): Write {
  const { system, value } = issue.identifier?.[0] ?? {};
  return {
    fullUrl: `urn:uuid:${randomUUID()}`,
    resource: issue,
    request: {
      method: 'POST',
      url: 'DetectedIssue',
      ifNoneExist: `identifier=${encodeURIComponent(`${system}|${value}`)}`,
    },
  };
}

function change(issue: DetectedIssue): Write {
  const url = `DetectedIssue/${issue.id}`;
  return {
    fullUrl: url,
    resource: issue,
    request: { method: 'PUT', url, ifMatch: `W/"${issue.meta?.versionId}"` },
  };
}

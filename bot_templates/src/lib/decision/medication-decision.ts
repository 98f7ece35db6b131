import type { DetectedIssue } from '@medplum/fhirtypes';
import type { BotRun } from '../run.ts';
import { type AllergyConflict, allergensOf, allergyConflictsOf } from './allergies.ts';
import { type Duplicate, duplicatesOf } from './duplicates.ts';
import { Ingredients } from './ingredients.ts';
import { type Interaction, interactionsOf } from './interactions.ts';
import { issueKey, keepIssues, type Kept } from './issues.ts';
import { takenOf } from './medications.ts';
import { type MedicationRecord, readMedications } from './record.ts';
import type { DecisionRules } from './rules.ts';

/** What the rules say of a list of medications. */
export interface MedicationFindings {
  interactions: Interaction[];
  duplicates: Duplicate[];
  allergyConflicts: AllergyConflict[];
  /** `Type/id` of medications and allergies that the tables do not know, wholly or in part. */
  unrecognised: string[];
  /** `Type/id` of medications whose code and words name different ingredients; they are among the unrecognised too. */
  contradictory: string[];
}

/** The same, with the issues that stand for it. */
export interface MedicationDecision {
  interactions: (Interaction & Issued)[];
  duplicates: (Duplicate & Issued)[];
  allergyConflicts: (AllergyConflict & Issued)[];
  unrecognised: string[];
  contradictory: string[];
  /** `DetectedIssue/id` of those that stand. */
  issues: string[];
  written: Pick<Kept, 'created' | 'cancelled' | 'reopened'>;
  /** `Type/id@version` of what was considered. */
  considered: string[];
  warnings: string[];
}

interface Issued {
  detectedIssue?: string;
}

/** Rounds after which a list that keeps changing is left to the runs that its changes start. */
const MOST_ROUNDS = 4;

/** What the rules find, without writing anything. */
export function findInMedications(record: MedicationRecord, rules: DecisionRules): MedicationFindings {
  const ingredients = new Ingredients(rules);
  const taken = takenOf(record.prescribed, record.medications, ingredients);
  const allergens = allergensOf(record.allergies, rules.allergies, ingredients);
  return {
    interactions: interactionsOf(taken, rules.interactions, ingredients),
    duplicates: duplicatesOf(taken, rules, ingredients),
    allergyConflicts: allergyConflictsOf(taken, allergens, rules.allergies, ingredients),
    unrecognised: [
      ...taken.filter(({ incomplete }) => incomplete).map(({ reference }) => reference),
      ...allergens.filter(({ unrecognised }) => unrecognised).map(({ reference }) => reference),
    ],
    contradictory: taken.filter(({ contradictory }) => contradictory).map(({ reference }) => reference),
  };
}

/**
 * Decides on a patient's medications and brings the issues in line.
 *
 * Two runs may read different lists and write one after the other; so a run looks again after it wrote, until what it
 * read is what the issues say.
 * @param stopped - `MedicationRequest/id` that is known to be over, also where the list could not be read whole.
 * @throws BotFailure
 */
export async function decideMedications(
  run: BotRun,
  patientId: string,
  rules: DecisionRules,
  stopped?: string
): Promise<MedicationDecision> {
  const written = { created: 0, cancelled: 0, reopened: 0 };
  let record = await readMedications(run, patientId);
  for (let round = 1; ; round++) {
    const findings = findInMedications(record, rules);
    const all = [...findings.allergyConflicts, ...findings.interactions, ...findings.duplicates];
    const kept = await keepIssues(run, patientId, rules, {
      findings: all,
      existing: record.issues,
      isOver: (issue) => isOver(issue, record, findings.unrecognised, stopped),
    });
    written.created += kept.created;
    written.cancelled += kept.cancelled;
    written.reopened += kept.reopened;
    const changed = kept.created + kept.cancelled + kept.reopened + kept.met > 0;
    const again = changed ? await readMedications(run, patientId) : record;
    if (versionsOf(again).join() === versionsOf(record).join() || round === MOST_ROUNDS) {
      return decision(patientId, record, findings, kept, written);
    }
    record = again;
  }
}

/**
 * Whether an issue that no finding stands for is over: a medication or allergy of it is no longer current, or all are
 * and each is known as a whole. One that cannot be recognised any more proves nothing.
 */
function isOver(
  issue: DetectedIssue,
  record: MedicationRecord,
  unrecognised: readonly string[],
  stopped: string | undefined
): boolean {
  const implicated = (issue.implicated ?? []).map(({ reference }) => reference ?? '');
  if (stopped !== undefined && implicated.includes(stopped)) {
    return true;
  }
  if (record.incomplete) {
    return false;
  }
  const current = new Set([...record.prescribed, ...record.allergies].map((each) => `${each.resourceType}/${each.id}`));
  return (
    implicated.some((reference) => !current.has(reference)) || !implicated.some((each) => unrecognised.includes(each))
  );
}

/** The medications and allergies with their versions; our own issues are no part of it. */
function versionsOf(record: MedicationRecord): string[] {
  const resources = [...record.prescribed, ...record.medications.values(), ...record.allergies];
  return resources.map(({ resourceType, id, meta }) => `${resourceType}/${id}@${meta?.versionId}`).sort();
}

function decision(
  patientId: string,
  record: MedicationRecord,
  findings: MedicationFindings,
  kept: Kept,
  written: MedicationDecision['written']
): MedicationDecision {
  const issued = <T extends Interaction | Duplicate | AllergyConflict>(each: T): T & Issued => {
    const detectedIssue = kept.standing.get(issueKey(patientId, each));
    return detectedIssue === undefined ? each : { ...each, detectedIssue };
  };
  return {
    interactions: findings.interactions.map(issued),
    duplicates: findings.duplicates.map(issued),
    allergyConflicts: findings.allergyConflicts.map(issued),
    unrecognised: findings.unrecognised,
    contradictory: findings.contradictory,
    issues: [...kept.standing.values()].sort(),
    written,
    considered: versionsOf(record),
    warnings: [
      ...(findings.unrecognised.length > 0 ? ['UNRECOGNISED_MEDICATION'] : []),
      ...(findings.contradictory.length > 0 ? ['CONTRADICTORY_MEDICATION'] : []),
      ...(record.incomplete ? ['RECORD_INCOMPLETE'] : []),
      ...(kept.setAside > 0 ? ['ISSUE_SET_ASIDE'] : []),
      ...(kept.leftOut > 0 ? ['ISSUES_LIMITED'] : []),
    ],
  };
}

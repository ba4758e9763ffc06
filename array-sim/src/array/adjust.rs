//! Changes of a running array that no client makes: figures, limits, protection groups.

use std::io;

use super::Array;
use crate::flasharray::state::{Change, Plan, ProtectionGroupSeed, Refusal};
use crate::flasharray::{Adjustment, Performance, VolumeFigures};

impl Array {
    /// What `/arrays/performance` says from now on.
    pub fn set_performance(&self, performance: Performance) {
        self.shared.core().settings.performance = performance;
    }

    /// Bytes in use besides what the volumes hold, from now on.
    pub fn set_used(&self, bytes: u64) {
        self.shared.core().settings.used = bytes;
    }

    /// What `/volumes/performance` and `/volumes/space` say of a volume, as long as it is there.
    ///
    /// # Errors
    /// There is no such volume.
    pub fn set_volume_figures(&self, volume: &str, figures: VolumeFigures) -> Result<(), String> {
        let mut core = self.shared.core();
        let Some(volume) = core.state.volumes.by_name(volume) else {
            return Err(format!("there is no volume {volume}"));
        };
        let sequence = volume.sequence;
        core.figures.insert(sequence, figures);
        Ok(())
    }

    /// Changes figures and settings, all or nothing. They last until the array is opened anew.
    ///
    /// # Errors
    /// A volume that is not there.
    pub fn adjust(&self, adjustment: &Adjustment) -> Result<(), String> {
        let mut core = self.shared.core();
        let mut volumes = Vec::new();
        for (name, figures) in &adjustment.volumes {
            let Some(volume) = core.state.volumes.by_name(name) else {
                return Err(format!("there is no volume {name}"));
            };
            volumes.push((volume.sequence, *figures));
        }
        core.figures.extend(volumes);
        let settings = &mut core.settings;
        let keep = |old: &mut u64, new: Option<u64>| *old = new.unwrap_or(*old);
        keep(&mut settings.capacity, adjustment.capacity);
        keep(&mut settings.used, adjustment.used);
        keep(
            &mut settings.eradication_delay_ms,
            adjustment.eradication_delay_ms,
        );
        settings.performance = adjustment.performance.unwrap_or(settings.performance);
        settings.limits = adjustment.limits.unwrap_or(settings.limits);
        if let Some(disabled) = adjustment.eradication_disabled {
            settings.eradication_disabled = disabled;
        }
        if let Some(ports) = &adjustment.ports {
            settings.ports.clone_from(ports);
        }
        Ok(())
    }

    /// The figures and settings in force; volumes of which nothing was given are left out.
    #[must_use]
    pub fn adjustment(&self) -> Adjustment {
        let core = self.shared.core();
        let settings = &core.settings;
        let volumes = core.figures.iter().filter_map(|(sequence, figures)| {
            let volume = core.state.volumes.get(*sequence)?;
            Some((volume.name.clone(), *figures))
        });
        Adjustment {
            capacity: Some(settings.capacity),
            used: Some(settings.used),
            performance: Some(settings.performance),
            volumes: volumes.collect(),
            limits: Some(settings.limits),
            eradication_disabled: Some(settings.eradication_disabled),
            eradication_delay_ms: Some(settings.eradication_delay_ms),
            ports: Some(settings.ports.clone()),
        }
    }

    /// Makes a protection group, or puts this in place of the one of that name.
    ///
    /// # Errors
    /// A bad name, or a member that is not there.
    pub fn set_protection_group(&self, seed: &ProtectionGroupSeed) -> Result<(), String> {
        let mut core = self.shared.core();
        let planned = core.state.plan_protection_group(seed);
        let done = planned.and_then(|plan| core.commit(&plan));
        done.map(drop).map_err(|refusal| text(&refusal))
    }

    /// Drops a protection group. False if there is none of this name.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub fn remove_protection_group(&self, name: &str) -> Result<bool, String> {
        let mut core = self.shared.core();
        let Some(group) = core.state.protection_groups.by_name(name) else {
            return Ok(false);
        };
        let mut plan = Plan::new(&core.state);
        plan.changes
            .push(Change::ProtectionGroupGone(group.sequence));
        let done = core.commit(&plan);
        done.map(|_| true).map_err(|refusal| text(&refusal))
    }

    /// Makes the protection groups of the configuration that are not there yet.
    pub(super) fn seed_protection_groups(&self) -> io::Result<()> {
        for seed in &self.shared.config.protection_groups {
            let known = {
                let core = self.shared.core();
                core.state.protection_groups.by_name(&seed.name).is_some()
            };
            if !known {
                self.set_protection_group(seed).map_err(|problem| {
                    let text = format!("protection group {}: {problem}", seed.name);
                    io::Error::new(io::ErrorKind::InvalidInput, text)
                })?;
            }
        }
        Ok(())
    }
}

fn text(refusal: &Refusal) -> String {
    let texts = refusal.errors.iter().map(|error| {
        let context = error.context.as_deref().unwrap_or_default();
        format!("{} ({context})", error.message)
    });
    texts.collect::<Vec<_>>().join(" ")
}

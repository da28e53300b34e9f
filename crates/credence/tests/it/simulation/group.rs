//! The consumer group: who is a member, whose a partition is, and in which generation.
//!
//! Partitions move cooperatively: a member that lives gives a partition up before somebody else gets it.
//! A member that was thrown out hears of it when it asks next; until then it is a zombie.

use super::log::PARTITIONS;
use super::random::Random;

pub(super) type MemberId = usize;

/// Who commits offsets: a member, and the generation that it knows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) member: MemberId,
    pub(super) generation: u64,
}

/// What a member hears.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It was thrown out: all its partitions are lost.
    Lost,
    News {
        generation: u64,
        revoked: Vec<i32>,
        assigned: Vec<i32>,
    },
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    owner: Option<MemberId>,
    target: Option<MemberId>,
}

#[derive(Debug, Default)]
pub(super) struct Group {
    generation: u64,
    members: Vec<MemberId>,
    /// How many there ever were.
    joined: MemberId,
    places: [Place; PARTITIONS as usize],
}

impl Group {
    pub(super) fn join(&mut self, random: &mut Random) -> MemberId {
        self.joined += 1;
        self.members.push(self.joined);
        self.rebalance(random);
        self.joined
    }

    /// Throws a member out: it left, or nothing was heard of it for too long.
    pub(super) fn remove(&mut self, member: MemberId, random: &mut Random) {
        self.members.retain(|of| *of != member);
        for place in &mut self.places {
            place.owner = place.owner.filter(|owner| *owner != member);
        }
        self.rebalance(random);
    }

    /// Spreads the partitions over the members, not always evenly.
    pub(super) fn rebalance(&mut self, random: &mut Random) {
        self.generation += 1;
        for place in &mut self.places {
            place.target = random.pick(&self.members).copied();
        }
    }

    pub(super) fn poll(&mut self, member: MemberId) -> Told {
        if !self.is_member(member) {
            return Told::Lost;
        }
        let (mut revoked, mut assigned) = (Vec::new(), Vec::new());
        for (number, place) in (0..PARTITIONS).zip(&self.places) {
            if place.owner == Some(member) && place.target != Some(member) {
                revoked.push(number);
            }
        }
        // One thing after the other, as the protocol has it.
        for (number, place) in (0..PARTITIONS).zip(&mut self.places) {
            if revoked.is_empty() && place.owner.is_none() && place.target == Some(member) {
                place.owner = Some(member);
                assigned.push(number);
            }
        }
        Told::News { generation: self.generation, revoked, assigned }
    }

    /// A member has given a partition up.
    pub(super) fn given_up(&mut self, member: MemberId, partition: i32) {
        if let Some(place) = self.places.get_mut(partition as usize)
            && place.owner == Some(member)
        {
            place.owner = None;
            self.generation += 1;
        }
    }

    pub(super) fn is_member(&self, member: MemberId) -> bool {
        self.members.contains(&member)
    }

    pub(super) fn owns(&self, member: MemberId, partition: i32) -> bool {
        self.places.get(partition as usize).is_some_and(|place| place.owner == Some(member))
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether an offset commit of this generation is taken.
    pub(super) fn accepts(&self, identity: Identity) -> bool {
        identity.generation == self.generation && self.is_member(identity.member)
    }

    /// Who is a member.
    pub(super) fn members(&self) -> &[MemberId] {
        &self.members
    }
}

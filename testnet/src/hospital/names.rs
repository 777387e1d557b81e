//! Name lists, written for this generator. The front of each list is more frequent.

use std::sync::LazyLock;

use super::random::{Draws, index};

/// A list of names, split from one text when first used.
type Names = LazyLock<Vec<&'static str>>;

const FEMALE_TEXT: &str = "\
    Maria Anna Emma Sofia Julia Laura Sarah Lena Elena Eva Marie Clara Zoë Chloé Mary Elizabeth Patricia Linda \
    Jennifer Barbara Susan Jessica Karen Nancy Margaret Lisa Betty Helen Sandra Ashley Donna Kimberly Emily Carol \
    Michelle Amanda Dorothy Melissa Deborah Stephanie Rebecca Sharon Cynthia Kathleen Amy Angela Shirley Brenda \
    Pamela Nicole Ruth Katherine Samantha Christine Catherine Virginia Rachel Carolyn Janet Heather Diane Olivia \
    Joyce Victoria Kelly Lauren Christina Joan Evelyn Judith Andrea Hannah Megan Cheryl Jacqueline Martha Madison \
    Teresa Gloria Sara Janice Ann Kathryn Abigail Sophia Frances Jean Alice Judy Isabella Amélie Renée Béatrice \
    Hélène Thérèse Françoise Inês Lucía Sofía María Mónica Begoña Núria Júlia Zsófia Éva Ágnes Božena Jiřina Věra \
    Žofie Käthe Jördis Bärbel Åsa Märta Siân Aoife Niamh Gráinne Fatima Aisha Leyla Ayşe Yuki Mei Priya Anjali Ngozi \
    Amara Ingrid Astrid Greta Heidi Ursula Monika Renate";
static FEMALE: Names = LazyLock::new(|| FEMALE_TEXT.split(' ').collect());

const MALE_TEXT: &str = "\
    Thomas Michael Daniel David Martin Peter Paul Lukas Jan Noah Leon Elias James Robert John William Richard Joseph \
    Christopher Charles Matthew Anthony Mark Donald Steven Andrew Kenneth Joshua Kevin Brian George Timothy Ronald \
    Jason Edward Jeffrey Ryan Jacob Gary Nicholas Eric Jonathan Stephen Larry Justin Scott Brandon Benjamin Samuel \
    Gregory Alexander Patrick Frank Raymond Jack Dennis Jerry Tyler Aaron Jose Adam Nathan Henry Zachary Douglas \
    Kyle Ethan Walter Jeremy Christian Keith Roger Terry Austin Sean Gerald Carl Dylan Harold Jordan Jesse Bryan \
    Lawrence Arthur Gabriel Bruce Logan Albert Willie René André François Jérôme Étienne Loïc José Jesús Ángel Iñigo \
    Martín João Zoltán István Gergő Jiří Tomáš Ondřej Štěpán Jürgen Günther Jörg Björn Göran Håkan Seán Pádraig \
    Rhodri Ahmed Omar Yusuf Mehmet Hiroshi Wei Arjun Rahul Chidi Kwame Lars Sven Klaus Horst Wolfgang Dieter Bernd";
static MALE: Names = LazyLock::new(|| MALE_TEXT.split(' ').collect());

const JOINED: [&[&str]; 2] = [
    &[
        "Anna-Lena",
        "Marie-Claire",
        "Eva-Maria",
        "Anne-Sophie",
        "Mary-Jane",
        "Hanna-Sofia",
        "Marie-Thérèse",
        "Lou-Ann",
        "Rose-Marie",
        "Ana-Lucía",
    ],
    &[
        "Jean-Luc",
        "Karl-Heinz",
        "Hans-Peter",
        "Jean-François",
        "Jan-Erik",
        "Billy-Joe",
        "Klaus-Jürgen",
        "Carl-Johan",
        "Pierre-Yves",
        "Juan-José",
    ],
];

const FAMILY_TEXT: &str = "\
    Smith Müller Johnson Schmidt García Martin Williams Schneider Brown Jones Fischer Weber Miller Davis Rodríguez \
    Martínez Meyer Wagner Hernández López Becker González Wilson Anderson Thomas Taylor Moore Jackson Schulz \
    Hoffmann Bernard Dubois Lee Pérez Thompson White Harris Sánchez Clark Ramírez Lewis Robinson Walker Young Allen \
    King Wright Scott Torres Nguyen Hill Flores Green Adams Nelson Baker Hall Rivera Campbell Mitchell Carter \
    Roberts Gómez Phillips Evans Turner Díaz Parker Cruz Edwards Collins Reyes Stewart Morris Morales Murphy Cook \
    Rogers Gutiérrez Ortiz Morgan Cooper Peterson Bailey Reed Kelly Howard Ramos Kim Cox Ward Richardson Watson \
    Brooks Chávez Wood James Bennett Gray Mendoza Ruiz Hughes Price Álvarez Castillo Sanders Patel Myers Long Ross \
    Foster Jiménez Powell Jenkins Perry Russell Sullivan Bell Coleman Butler Henderson Barnes Fisher Vásquez Simmons \
    Romero Jordan Patterson Alexander Hamilton Graham Reynolds Griffin Wallace Moreno West Cole Hayes Bryant Herrera \
    Gibson Ellis Tran Medina Aguilar Stevens Murray Ford Castro Marshall Owens Harrison Fernández Kennedy Wells \
    Vargas Henry Chen Freeman Webb Tucker Guzmán Burns Crawford Olson Simpson Porter Hunter Gordon Méndez Silva Shaw \
    Snyder Mason Dixon Muñoz Hunt Hicks Holmes Palmer Black Robertson Boyd Rose Stone Salazar Fox Warren Mills \
    Meyers Rice Schäfer Koch Bauer Richter Klein Wolf Schröder Neumann Schwarz Zimmermann Braun Krüger Hofmann \
    Hartmann Lange Schmitt Werner Krause Meier Lehmann Schmid Schulze Maier Köhler Herrmann König Walter Mayer Huber \
    Kaiser Fuchs Peters Lang Scholz Möller Jung Hahn Schubert Vogel Friedrich Keller Günther Frank Berger Winkler \
    Roth Beck Lorenz Baumann Franke Albrecht Schuster Simon Ludwig Böhm Winter Kraus Vogt Jäger Petit Durand Leroy \
    Moreau Lefèvre Fournier Girard Bonnet Dupont Lambert Fontaine Rousseau Vincent Chevalier Guérin Boyer Garnier \
    François Mercier Rossi Russo Ferrari Esposito Bianchi Romano Colombo Ricci Marino Greco Bruno Gallo Conti \
    D'Angelo D'Amico Dell'Orto Nagy Kovács Tóth Szabó Horváth Varga Kiss Molnár Németh Farkas Novák Svoboda Novotný \
    Dvořák Černý Procházka Kučera Veselý Horák Němec Šimek Žák Andersson Johansson Karlsson Nilsson Eriksson Larsson \
    Olsson Persson Svensson Gustafsson Lindström Sjöberg Åberg Öberg Virtanen Mäkinen Korhonen Silva Santos Ferreira \
    Araújo Conceição Gonçalves Yildirim Demir Çelik Öztürk Wang Li Zhang Liu Yang Singh Kumar Sharma Gupta Tanaka \
    Sato Suzuki Okafor Mensah Diallo Hassan Haddad Cohen Levi Katz";
static FAMILY: Names = LazyLock::new(|| FAMILY_TEXT.split(' ').collect());

const PREFIXES: [&str; 6] = ["O'", "Mc", "Mac", "van ", "de ", "Fitz"];

const STEMS_TEXT: &str = "\
    Brien Connor Neill Donnell Hara Leary Carthy Allister Intyre Kenzie Donald Gregor Dyk Berg Leeuwen Vries Graaf \
    Wit Jong Gerald Maurice Patrick Simon Roy Lane Dale Holm Mere";
static STEMS: Names = LazyLock::new(|| STEMS_TEXT.split(' ').collect());

const STREETS: &[&str] = &[
    "Mill Lane",
    "Church Street",
    "Station Road",
    "Lindenallee",
    "Bahnhofstraße",
    "Rue de l'Église",
    "High Street",
    "Park Avenue",
    "Oak Street",
    "Maple Drive",
    "Hauptstraße",
    "Calle Mayor",
    "Via Roma",
    "King's Road",
    "Elm Court",
    "River Walk",
    "Am Markt",
    "Schulweg",
    "Cedar Hill",
    "Harbour View",
];

/// A given name for this sex (0 female, 1 male).
pub(super) fn given(draws: &mut Draws, sex: usize) -> &'static str {
    if draws.chance(30) {
        return draws.pick(JOINED[sex]);
    }
    let list = [&FEMALE, &MALE][sex];
    list[index(draws.skewed(list.len() as u64))]
}

/// A family name: from the list, assembled, or two of them joined by a hyphen.
pub(super) fn family(draws: &mut Draws) -> String {
    let first = single_family(draws);
    if draws.chance(50) { format!("{first}-{}", single_family(draws)) } else { first }
}

fn single_family(draws: &mut Draws) -> String {
    if draws.chance(80) {
        return format!("{}{}", draws.pick(&PREFIXES), draws.pick(&STEMS));
    }
    FAMILY[index(draws.skewed(FAMILY.len() as u64))].to_owned()
}

/// A street and house number.
pub(super) fn street(draws: &mut Draws) -> String {
    format!("{} {}", draws.pick(STREETS), draws.between(1, 240))
}

/// The name without its diacritics: each letter becomes the base of its Unicode decomposition.
pub(super) fn without_diacritics(name: &str) -> String {
    name.chars().map(base_letter).collect()
}

fn base_letter(letter: char) -> char {
    const TABLE: &[(&str, char)] = &[
        ("áàâäãå", 'a'),
        ("ÁÀÂÄÃÅ", 'A'),
        ("éèêëě", 'e'),
        ("ÉÈÊËĚ", 'E'),
        ("íìîï", 'i'),
        ("ÍÌÎÏ", 'I'),
        ("óòôöõő", 'o'),
        ("ÓÒÔÖÕŐ", 'O'),
        ("úùûüůű", 'u'),
        ("ÚÙÛÜŮŰ", 'U'),
        ("çč", 'c'),
        ("ÇČ", 'C'),
        ("ñň", 'n'),
        ("ÑŇ", 'N'),
        ("šş", 's'),
        ("ŠŞ", 'S'),
        ("ž", 'z'),
        ("Ž", 'Z'),
        ("ř", 'r'),
        ("Ř", 'R'),
        ("ý", 'y'),
        ("Ý", 'Y'),
    ];
    TABLE.iter().find(|(with, _)| with.contains(letter)).map_or(letter, |(_, base)| *base)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn lists_are_large_enough_and_given_names_do_not_repeat() {
        for list in [&FEMALE, &MALE] {
            assert_eq!(list.iter().collect::<BTreeSet<_>>().len(), list.len());
        }
        assert!(FEMALE.len() + MALE.len() + 20 >= 290, "{}", FEMALE.len() + MALE.len() + 20);
        assert!(FAMILY.len() + PREFIXES.len() * STEMS.len() >= 500);
    }

    #[test]
    fn every_diacritic_in_the_lists_has_a_base_letter() {
        for name in FEMALE.iter().chain(MALE.iter()).chain(FAMILY.iter()).chain(JOINED[0]).chain(JOINED[1]) {
            let plain = without_diacritics(name);
            assert!(plain.is_ascii(), "{name} became {plain}");
        }
    }
}
